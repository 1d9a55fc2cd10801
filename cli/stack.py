"""`flumen up`, `down`, `status` and `doctor`: the servers on this machine, or through Docker."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Annotated

import typer
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from flumen.cli.background import remove_logs, stop_kept_workers
from flumen.cli.failures import not_started
from flumen.cli.invocation import as_called
from flumen.cli.output import AsJson, errors, print_rows
from flumen.stack import docker as containers
from flumen.stack import doctor as checks
from flumen.stack import local, readings
from flumen.stack.layout import Endpoints, Layout
from flumen.stack.server import READY_SECONDS
from flumen.stores.artifacts.progress import Progress as Listener
from flumen.stores.kudu.jars import missing_jars
from flumen.stores.solr import STORE as SOLR
from flumen.streams.settings import Settings, load_settings

[SOLR_CONFIGSET] = SOLR.server_files
NEXT = "Next: `flumen worker` classifies, `flumen produce PATH` publishes images, `flumen down` stops the servers."
IS_DOWN = 3
"""The exit code of `flumen status` where something is down, as that of `systemctl status`."""


def up(
    docker: Annotated[bool, typer.Option("--docker", help="Run the servers in containers.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=1, max=86_400, help=f"Seconds until all have to answer; {READY_SECONDS:.0f} without --docker."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start Kafka, Kudu and Solr, and wait until each of them answers. Those that run already are left alone.

    Where one does not answer in time, the others go on; exit code 1.
    """
    home = load_settings().home
    if docker:
        containers.up(home, timeout_s=timeout)
    else:
        start_stack(home, timeout or READY_SECONDS)
    _print_servers(home, as_json)
    if not as_json:
        errors.print(as_called(NEXT), highlight=False, soft_wrap=True)


def down(
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove their data and all logs too. Models are kept.")
    ] = False,
) -> None:
    """Stop the servers; their data stays, unless purged."""
    home = load_settings().home
    stopped = stop_kept_workers(home)
    if purge:
        remove_logs(home)
    if _through(home) == "docker":
        containers.down(home, purge)
        stopped.append("the containers")
        stays = "their volumes are removed" if purge else "their volumes are kept"
    else:
        had_data = local.has_data(home)
        stopped += local.down(home, purge)
        stays = _what_stays(home, had_data, purge)
    said = f"Stopped: {', '.join(stopped) or 'nothing, no server was running'}; {stays}."
    errors.print(said, markup=False, highlight=False, soft_wrap=True)


def _what_stays(home: Path, had_data: bool, purge: bool) -> str:
    if not had_data:
        return f"no server has kept anything in {home.absolute()}"
    if not purge:
        return f"data and logs are kept in {home.absolute()}"
    models = home.absolute() / "models"
    kept = (
        f". The models in {models} are kept; remove that folder if you want none of them"
        if models.exists()
        else ""
    )
    return f"their data and all logs are removed{kept}"


def status(as_json: AsJson = False) -> None:
    """Ask every server how it does. Exit code 3 if one is down, or none was started."""
    home = load_settings().home
    states = _print_servers(home, as_json)
    if not states and not as_json:
        errors.print(as_called(not_started(home)), markup=False, highlight=False, soft_wrap=True)
    if not states or not all(states.values()):
        raise typer.Exit(IS_DOWN)


def doctor(as_json: AsJson = False) -> None:
    """Look for what would stop the servers: memory, disk, ports, Java, downloads. Exit code 1 if something would."""
    settings = load_settings()
    findings = checks.examine(readings.read(settings.home, _wanted_ports(settings), missing_jars()))
    rows = [asdict(finding) for finding in findings]
    print_rows(rows if as_json else [_as_called(row) for row in rows], as_json)
    if any(finding.result == "failed" for finding in findings):
        raise typer.Exit(1)


def _as_called(finding: dict[str, str]) -> dict[str, str]:
    return {**finding, "what_to_do": as_called(finding["what_to_do"])}


def start_stack(home: Path, timeout_s: float = READY_SECONDS) -> Endpoints:
    """Start the local stack in `home`, after a look for what would stop it; show downloads and starts.

    Raises:
        StackError: the stack cannot be started here; the message says why and what to do.
    """
    if not local.is_running(home):
        checks.require(home)
    with _progress_bars() as listener:
        return local.up(home, SOLR_CONFIGSET, listener, timeout_s)


def _wanted_ports(settings: Settings) -> dict[str, int]:
    return {"http_port": settings.http_port} if settings.http_port else {}


def _through(home: Path) -> str:
    record = Layout(home.absolute()).read_endpoints()
    return record[1] if record else "local"


def _print_servers(home: Path, as_json: bool) -> dict[str, bool]:
    """Print how every server does; return of each whether it is up."""
    if _through(home) == "docker":
        found = containers.status()
        print_rows([asdict(container) for container in found], as_json, columns=["name", "state"])
        return {container.name: container.is_up for container in found}
    servers = local.status(home)
    if as_json:
        print_rows([asdict(server) for server in servers], as_json)
    elif servers:
        print_rows([_for_people(server) for server in servers], as_json)
        errors.print(f"Logs: {Path(servers[0].log).parent}", highlight=False, soft_wrap=True)
    return {server.name: server.state == "ready" for server in servers}


def _for_people(server: local.ServerStatus) -> dict[str, str]:
    """Return what fits into a narrow terminal; `--json` has the rest."""
    return {
        "server": server.name,
        "state": server.state,
        "address": server.address,
        "pid": str(server.pid or ""),
        "memory": decimal(server.memory_bytes) if server.memory_bytes else "",
    }


@contextmanager
def _progress_bars() -> Iterator[Listener]:
    """Show what the stack is doing: a bar for each download, a spinner for each server; on a terminal only."""
    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    lock = Lock()
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as bars:

        def listen(task: str, done: int, total: int, unit: str) -> None:
            note = f"{decimal(done)} of {decimal(total)}" if unit == "bytes" else ""
            with lock:
                if task not in tasks:
                    tasks[task] = bars.add_task(task, total=None, note=note)
                started = unit == "bytes" or done
                bars.update(tasks[task], completed=done, total=total if started else None, note=note)

        yield listen
