"""Kafka, Kudu and Solr on this machine, without Docker: start, stop, look."""

import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from flumen.stack import kafka, kudu, solr
from flumen.stack.errors import ServerFailed
from flumen.stack.jvm import QUICK
from flumen.stack.launch import Launch
from flumen.stack.layout import Endpoints, Layout, State
from flumen.stack.ports import choose
from flumen.stack.process import ProcessId, stop
from flumen.stack.server import READY_SECONDS, Server
from flumen.stores.artifacts.filelock import exclusive
from flumen.stores.artifacts.progress import Progress, silent

PORTS = ("kafka", "kafka-controller", "kudu-master", "kudu-tserver", "solr")
OWNERS = {name: name for name in PORTS} | {"kafka-controller": "kafka"}
"""The server that listens on each port."""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How one server does: `state` is `ready`, `not answering` or `stopped`."""

    name: str
    state: str
    address: str
    pid: int | None
    memory_bytes: int | None
    uptime_s: float | None
    log: str


def up(
    home: Path,
    solr_configset: Path,
    progress: Progress = silent,
    timeout_s: float = READY_SECONDS,
    jvm: Sequence[str] = QUICK,
) -> Endpoints:
    """Start what does not run yet, wait until all of it answers, record the endpoints and return them.

    Data of an earlier run is kept. Where a server fails, the others go on, and their endpoints are recorded. What this
    call started is stopped again where anything else goes wrong, or it is interrupted. `jvm` are the options of the
    JVMs that it starts.

    Raises:
        ArtifactError: an artifact cannot be downloaded.
        ServerFailed: a server died or did not become ready within `timeout_s`; the message shows its log.
        MachineUnfit: no free port is left.
        StackError: the servers of this home run in containers.
    """
    layout = Layout(home.absolute())
    with exclusive(layout.lock):
        layout.require_no_other("local")
        state = layout.read_state()
        running = state.running()
        ports = choose(PORTS, state.ports, {port for port in PORTS if OWNERS[port] in running})
        servers = _servers(layout, ports, solr_configset, jvm)
        moved = [s.name for s in servers if s.name in running and not _has_ports(s, state.ports)]
        stop(running.pop(name) for name in moved)
        endpoints = _endpoints(servers)
        try:
            Launch(layout, State(ports, running), progress, timeout_s).run(servers)
        except ServerFailed:
            layout.write_endpoints(endpoints, "local")
            raise
        layout.write_endpoints(endpoints, "local")
    return endpoints


def down(home: Path, purge: bool = False) -> list[str]:
    """Stop every server, and with `purge` remove their data and logs. Return the names of those that ran.

    Raises:
        ServerFailed: a process cannot be ended.
    """
    layout = Layout(home.absolute())
    if not layout.home.exists():
        return []
    with exclusive(layout.lock):
        state = layout.read_state()
        running = state.running()
        stop(running.values())
        if purge:
            _remove(layout)
        elif layout.root.exists():
            layout.forget_endpoints()
            layout.write_state(State(state.ports))
    return list(running)


def stop_others(home: Path, but: Collection[str]) -> None:
    """Stop the servers that are not named in `but`: what was started beside those that ran before.

    Data and logs are kept. The endpoints are forgotten where no server is left.

    Raises:
        ServerFailed: a process cannot be ended.
    """
    layout = Layout(home.absolute())
    if not layout.root.exists():
        return
    with exclusive(layout.lock):
        state = layout.read_state()
        running = state.running()
        stop(process for name, process in running.items() if name not in but)
        left = {name: process for name, process in running.items() if name in but}
        layout.write_state(State(state.ports, left))
        record = layout.read_endpoints()
        if not left and record is not None and record[1] == "local":
            layout.forget_endpoints()


def running(home: Path) -> frozenset[str]:
    """Return the names of the servers that have a process; says nothing about how they do."""
    return frozenset(Layout(home.absolute()).read_state().running())


def status(home: Path) -> list[ServerStatus]:
    """Ask every server how it does; an empty list where no stack was ever started."""
    layout = Layout(home.absolute())
    state = layout.read_state()
    if not set(PORTS) <= set(state.ports):
        return []
    servers = _servers(layout, state.ports, solr_configset=layout.root)
    with ThreadPoolExecutor(len(servers)) as pool:
        return list(
            pool.map(lambda server: _status(server, state.processes.get(server.name), layout), servers)
        )


def recorded(home: Path) -> Endpoints | None:
    """Return the endpoints of the last `up` (local or Docker); None where none was, or after `down`."""
    record = Layout(home.absolute()).read_endpoints()
    return record[0] if record else None


def has_data(home: Path) -> bool:
    """Say whether servers have kept anything here."""
    return any(folder.exists() for folder in Layout(home.absolute()).folders)


def is_running(home: Path) -> bool:
    """Whether all servers have a process; says nothing about how they do."""
    return set(OWNERS.values()) <= running(home)


def _remove(layout: Layout) -> None:
    """Remove the servers' data, logs and records, and nothing else; each folder if nothing else is in it."""
    for folder in layout.folders:
        if folder.exists():
            shutil.rmtree(folder)
    for record in layout.records:
        record.unlink(missing_ok=True)
    for folder in (layout.root, layout.home):
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()


def _servers(
    layout: Layout, ports: Mapping[str, int], solr_configset: Path, jvm: Sequence[str] = QUICK
) -> list[Server]:
    return [
        kafka.server(layout, ports, jvm),
        *kudu.servers(layout, ports),
        solr.server(layout, ports, solr_configset, jvm),
    ]


def _endpoints(servers: Sequence[Server]) -> Endpoints:
    address = {server.name: server.address for server in servers}
    return Endpoints(address["kafka"], address["kudu-master"], address["solr"])


def _has_ports(server: Server, recorded_ports: Mapping[str, int]) -> bool:
    return all(recorded_ports.get(name) == port for name, port in server.ports.items())


def _status(server: Server, process: ProcessId | None, layout: Layout) -> ServerStatus:
    found = process.find() if process else None
    log = str(layout.log(server.name))
    if found is None or process is None:
        return ServerStatus(server.name, "stopped", server.address, None, None, None, log)
    state = "ready" if server.answers() else "not answering"
    uptime = time.time() - process.created
    return ServerStatus(server.name, state, server.address, found.pid, found.memory_info().rss, uptime, log)
