"""The helper process of `models.verifier`, seen from outside: started, watched at one task, and ended."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import IO

import psutil

from models.errors import TooMuchMemory, VerifierUnavailable
from models.limits import VerifyLimits
from models.verifier_tasks import Done, Pace, Request, Task

_LOOK_S = 0.02
_START_S = 120.0
_END_S = 5.0
_TIMES_SILENT = 10
_SILENT_S = 30.0
"""The time limit is processor time, so a machine that is short of it costs no model. A helper that is at one step for
ten times as long and half a minute hangs; it is ended."""
_LONGEST_WORDS = 400


@dataclass(slots=True)
class Helper:
    """A helper that has started. `words`: what it writes on standard error; `worked_s`: its processor time, as told."""

    process: subprocess.Popen[bytes]
    connection: Connection
    words: IO[bytes]
    worked_s: float = 0.0

    def run(self, task: Task, content: bytes, limits: VerifyLimits, pace: Pace) -> Done | None:
        """Let it do a task, and call `pace` between its steps. None where it ended before it answered.

        Raises:
            TooMuchMemory: it takes more than it may; it has not ended yet.
        """
        silent_s = _TIMES_SILENT * limits.time_s + _SILENT_S
        allowed: int | None = None
        try:
            self.connection.send(Request(task, limits.time_s))
            self.connection.send_bytes(content)
            until = time.monotonic() + silent_s
            while time.monotonic() < until:
                memory = self._memory()
                if allowed is not None and memory > allowed:
                    raise TooMuchMemory(
                        f"{task.subject} takes more than {limits.memory_bytes:,} bytes of memory to verify, which is "
                        "max_model_load_memory_bytes. Look for large tensors that the network computes, and for very "
                        "many parts; if it is meant to be that large, raise the limit, or lower max_batch_size"
                    )
                if not self.connection.poll(_LOOK_S):
                    continue
                message = self.connection.recv()
                if isinstance(message, Done):
                    return message
                self.worked_s = message.worked_s
                allowed = allowed or self._memory() + limits.memory_bytes
                pace()
                self.connection.send(None)
                until = time.monotonic() + silent_s
            self.process.kill()
        except (EOFError, OSError):
            pass
        return None

    def make_nice(self, niceness: int) -> None:
        """Let it have what others leave, if that is above 0."""
        if niceness:
            os.setpriority(os.PRIO_PROCESS, self.process.pid, niceness)

    def end(self) -> int:
        """End it, and return its exit code; a negative one is the signal that ended it."""
        self.connection.close()  # an idle one ends by this
        try:
            return self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def last_words(self) -> str:
        """Return the end of what it wrote."""
        self.words.seek(0)
        return self.words.read().decode(errors="replace").strip()[-_LONGEST_WORDS:] or "it wrote nothing"

    def _memory(self) -> int:
        try:
            return int(psutil.Process(self.process.pid).memory_info().rss)
        except psutil.Error:  # it is gone, and its connection says so
            return 0


def start_helper() -> Helper:
    """Start one, and wait until it is ready.

    Raises:
        VerifierUnavailable: it does not start.
    """
    ours, theirs = Pipe()
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    # -P: no module is taken from the folder that this process was started in.
    command = [sys.executable, "-P", "-m", "models.verifier_process", str(theirs.fileno())]
    try:
        words = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the helper
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and a number
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=words,
            pass_fds=[theirs.fileno()],
            env=environment,
        )
    except OSError as error:
        ours.close()
        raise VerifierUnavailable(
            f"the process that verifies models does not start: {error}. Make room on this machine"
        ) from error
    finally:
        theirs.close()
    helper = Helper(process, ours, words)
    try:
        if ours.poll(_START_S):
            ours.recv()
            return helper
    except (EOFError, OSError):
        pass
    process.kill()
    code = helper.end()
    raise VerifierUnavailable(
        f"the process that verifies models ended while it started (exit code {code}): {helper.last_words()}"
    )
