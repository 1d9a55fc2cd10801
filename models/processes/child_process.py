"""A helper process: this interpreter at a module of ours, at the other end of a connection, for what hostile bytes do.

It inherits what a program needs to run, and nothing else: what a hostile file may take over shall find no password in
its environment, be it a setting of ours or one of somebody else's, such as the keys of a cloud.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import IO

TIMES_SILENT = 10
SILENT_S = 30.0
"""A helper's limit is processor time, so a machine that is short of it costs no file. One that is silent for ten times
as long and half a minute hangs; it is ended."""

START_S = 120.0
"""What a process may take until it is ready."""

_END_S = 5.0
_FIRST_TO_END = "1000"
_TO_THE_GROUP = (signal.SIGINT, signal.SIGTERM)
_INHERITED = frozenset(
    [
        "PATH",
        "HOME",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONUSERBASE",
        "PYTHONNOUSERSITE",
        "PYTHONPYCACHEPREFIX",
        "PYTHONDONTWRITEBYTECODE",
    ]
)
"""What this interpreter and its packages are found by, and what texts, times and temporary files go by."""
# More threads and arenas are of no use to it, and would take address space from its work.
_OURS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


class NotStarted(Exception):
    """The process did not start, or ended before it was ready. Says which; caught by whoever wanted it."""


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """A process that was started, and the connection to it."""

    process: subprocess.Popen[bytes]
    connection: Connection

    def await_ready(self) -> None:
        """Wait until it has said that it is ready. `kill` from another thread ends this, too.

        Raises:
            NotStarted: it has not said so in time, or has ended; there is nothing left to end.
        """
        try:
            if self.connection.poll(START_S):
                self.connection.recv()
                return
        except (EOFError, OSError):
            pass
        self.process.kill()
        raise NotStarted(f"ended while it started (exit code {self.end()})")

    def end(self) -> int:
        """End it, and return its exit code; a negative one is the signal that ended it."""
        self.connection.close()  # an idle one ends by this
        try:
            return self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def kill(self) -> None:
        """End it at once. The connection is left to the thread that may be waiting at it."""
        self.process.kill()
        self.process.wait()


def _environment() -> dict[str, str]:
    """Return all that a helper gets of this process's environment, and what is set for it."""
    inherited = {
        name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith("LC_")
    }
    return inherited | _OURS


def start_child(module: str, output: IO[bytes] | None = None, files: Sequence[int] = ()) -> ChildProcess:
    """Start a module; it is of use once `ChildProcess.await_ready` has returned.

    SIGINT and SIGTERM do not reach it, from its first moment on: both may be sent to the whole group of processes, and
    whoever started it decides when its work is over. Where the kernel has to end a process for want of memory, it shall
    be this one.

    Args:
        module: run with the number of its end of the connection as its argument, and those of `files` behind it.
        output: takes what it writes on both its outputs; this process's own, if None.
        files: file descriptors that it gets beside the connection.

    Raises:
        NotStarted: it does not start.
    """
    ours, theirs = Pipe()
    # -P: no module is taken from the folder that this process was started in.
    passed = [theirs.fileno(), *files]
    command = [sys.executable, "-P", "-m", module, *map(str, passed)]
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _TO_THE_GROUP)  # a child inherits it
    try:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, a module of ours, and numbers
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=passed,
            env=_environment(),
        )
    except OSError as error:
        ours.close()
        raise NotStarted(f"does not start: {error}. Make room on this machine") from error
    finally:
        theirs.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    with contextlib.suppress(OSError):  # it has ended already
        Path(f"/proc/{process.pid}/oom_score_adj").write_text(_FIRST_TO_END)
    return ChildProcess(process, ours)
