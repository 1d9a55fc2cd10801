"""The stack through Docker: `docker-compose.yml` of the source tree, run by the Compose plugin."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flumen.stack.errors import DockerUnavailable, MachineUnfit
from flumen.stack.layout import Endpoints, Layout
from flumen.stack.ports import HOST, is_free, owner
from flumen.stores.artifacts.filelock import exclusive

COMPOSE_FILE = Path(__file__).resolve().parent.parent / "docker-compose.yml"
PROJECT = "flumen"
DEFAULT_PORTS = {
    "FLUMEN_KAFKA_PORT": 9092,
    "FLUMEN_KUDU_PORT": 7051,
    "FLUMEN_KUDU_TABLETS_PORT": 7050,
    "FLUMEN_SOLR_PORT": 8983,
}
"""The environment names that `docker-compose.yml` reads, and its defaults."""
ASK_SECONDS = 15


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """How one container does, in Docker's words: `state` such as `running`, `health` such as `healthy`."""

    name: str
    state: str
    health: str
    image: str
    ports: str

    @property
    def is_up(self) -> bool:
        """Whether it runs, and is healthy where it says anything of that."""
        return self.state == "running" and self.health in ("", "healthy")


def engine_answers() -> bool:
    """Whether there is a `docker` command and its engine answers."""
    docker = shutil.which("docker")
    return docker is not None and _output([docker, "version", "--format", "{{.Server.Version}}"]) is not None


def compose_command() -> list[str]:
    """Return how Compose is called here: `docker compose`, or a `docker-compose` of version 2 or newer.

    Raises:
        DockerUnavailable: no engine answers, or there is no such Compose.
    """
    if not engine_answers():
        raise DockerUnavailable(
            "no Docker engine answers; start Docker, or use `flumen up` without --docker, which needs none"
        )
    for command in (["docker", "compose"], ["docker-compose"]):
        program = shutil.which(command[0])
        version = _output([program, *command[1:], "version", "--short"]) if program else None
        if version and not version.lstrip("v").startswith("1."):
            return command
    raise DockerUnavailable(
        "Docker's Compose plugin (2 or newer) is missing; install it, or use `flumen up` without --docker"
    )


def available() -> bool:
    """Whether `up` has what it needs: an engine, Compose and the compose file."""
    try:
        compose_command()
    except DockerUnavailable:
        return False
    return COMPOSE_FILE.exists()


def ports(environment: Mapping[str, str] = os.environ) -> dict[str, int]:
    """Return the published port of each name in `DEFAULT_PORTS`."""
    return {name: int(environment.get(name) or default) for name, default in DEFAULT_PORTS.items()}


def endpoints(published: Mapping[str, int]) -> Endpoints:
    """Return where the published ports are reached from this machine."""
    return Endpoints(
        kafka=f"{HOST}:{published['FLUMEN_KAFKA_PORT']}",
        kudu_masters=f"{HOST}:{published['FLUMEN_KUDU_PORT']}",
        solr_url=f"http://{HOST}:{published['FLUMEN_SOLR_PORT']}/solr",
    )


def up(home: Path, compose_file: Path = COMPOSE_FILE, timeout_s: float | None = None) -> Endpoints:
    """Start the containers, wait until all are healthy, record the endpoints and return them.

    `timeout_s`: how long that may take; as long as their health checks say, if not given. What came up goes on.

    Compose's own progress goes to standard error.

    Raises:
        DockerUnavailable: no engine, no Compose, no compose file, or Compose failed.
        MachineUnfit: another program has one of the ports.
        StackError: the servers of this home run on this machine already.
    """
    compose = _compose(compose_file)
    layout = Layout(home.absolute())
    with exclusive(layout.lock):
        layout.require_no_other("docker")
        if not _output([*compose, "ps", "--quiet"]):
            _require_free(ports())
        limit = [] if timeout_s is None else ["--wait-timeout", str(math.ceil(timeout_s))]
        if _run([*compose, "up", "--detach", "--wait", *limit]):
            log = " ".join([*compose, "logs", "--tail", "20"])
            raise DockerUnavailable(
                f"Compose could not start the stack; `{log}` shows the servers' last lines"
            )
        found = endpoints(ports())
        layout.write_endpoints(found, "docker")
    return found


def down(home: Path, purge: bool = False, compose_file: Path = COMPOSE_FILE) -> None:
    """Stop and remove the containers, workers too; with `purge` also their volumes.

    Raises:
        DockerUnavailable: no engine, no Compose, no compose file, or Compose failed.
    """
    compose = [*_compose(compose_file), "--profile", "workers", "down", *(["--volumes"] if purge else [])]
    layout = Layout(home.absolute())
    with exclusive(layout.lock):
        if _run(compose):
            raise DockerUnavailable(f"Compose could not stop the stack; try `{' '.join(compose)}`")
        layout.forget_endpoints()


def status(compose_file: Path = COMPOSE_FILE) -> list[ContainerStatus]:
    """Ask Docker how every container does.

    Raises:
        DockerUnavailable: no engine, no Compose or no compose file.
    """
    listing = _output([*_compose(compose_file), "ps", "--all", "--format", "json"]) or ""
    return [_container(entry) for entry in _entries(listing)]


def _entries(listing: str) -> list[dict[str, str]]:
    """Return Compose's containers: one JSON array from older versions, one object a line from newer ones."""
    if listing.lstrip().startswith("["):
        array: list[dict[str, str]] = json.loads(listing)
        return array
    return [json.loads(line) for line in listing.splitlines() if line.strip()]


def _container(entry: Mapping[str, str]) -> ContainerStatus:
    return ContainerStatus(
        name=entry["Name"],
        state=entry.get("State", ""),
        health=entry.get("Health", ""),
        image=entry.get("Image", ""),
        ports=entry.get("Ports", ""),
    )


def _require_free(published: Mapping[str, int]) -> None:
    for name, port in published.items():
        if not is_free(port):
            who = owner(port) or "another program"
            raise MachineUnfit(f"port {port} is taken by {who}; end it, or set {name} to another port")


def _compose(compose_file: Path) -> list[str]:
    if not compose_file.exists():
        raise DockerUnavailable(
            f"there is no {compose_file}; run `flumen up --docker` from a checkout of flumen's source"
        )
    return [*compose_command(), "--project-name", PROJECT, "--file", str(compose_file)]


def _run(command: list[str]) -> int:
    return subprocess.run(command, stdout=sys.stderr, check=False).returncode  # noqa: S603  no shell


def _output(command: list[str]) -> str | None:
    """Return what a command prints, or None where it fails."""
    try:
        done = subprocess.run(  # noqa: S603  no shell
            command, capture_output=True, text=True, check=False, timeout=ASK_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
