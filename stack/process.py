"""Processes that outlive the command that started them, known by pid and start time."""

import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from flumen.stack.errors import ServerFailed
from flumen.stores.artifacts.folders import writing

SAME_START_SECONDS = 2.0  # psutil counts from the boot time, which the kernel corrects when the clock is set
_INHERITED = frozenset(
    [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "_JAVA_OPTIONS",
        "PYTHONHOME",
        "PYTHONPATH",
    ]
)


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process: its pid, and when it started (seconds since the epoch), since pids are used again."""

    pid: int
    created: float

    def find(self) -> psutil.Process | None:
        """Return the process while it runs; None when it ended, even where another has its pid now."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.created) > SAME_START_SECONDS:
                return None
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.NoSuchProcess:
            return None


def inherited() -> dict[str, str]:
    """Return what a server gets of this process's environment: what a program needs to run, and no password."""
    return {name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith("LC_")}


def spawn(command: Sequence[str], environment: Mapping[str, str], log: Path) -> ProcessId:
    """Start a process in a session of its own, out of reach of Ctrl-C here; its output goes to `log`.

    `environment` is all that it gets. An earlier log is kept with `.1` behind its name.

    Raises:
        ServerFailed: the system cannot run the program.
        FolderUnusable: the log cannot be written.
    """
    with writing(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_name(log.name + ".1"))
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    try:
        pid = os.posix_spawn(command[0], list(command), environment, setsid=True, file_actions=actions)
    except OSError as error:
        raise ServerFailed(
            f"cannot run {command[0]}: {error}; `flumen doctor` looks for the reason"
        ) from error
    return ProcessId(pid, psutil.Process(pid).create_time())


def stop(processes: Iterable[ProcessId], grace_seconds: float = 20.0) -> None:
    """End processes: asked first (SIGTERM), all at once; forced (SIGKILL) after `grace_seconds`.

    Raises:
        ServerFailed: one is still there after all that.
    """
    running = [found for process in processes if (found := process.find())]
    _send(running, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(running, timeout=grace_seconds)
    _send(stubborn, signal.SIGKILL)
    _, left = psutil.wait_procs(stubborn, timeout=10)
    if left:
        pids = ", ".join(str(process.pid) for process in left)
        raise ServerFailed(
            f"cannot end process {pids}: it ignores SIGKILL, so the disk under it may be stuck"
        )


def _send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
