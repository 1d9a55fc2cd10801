"""The helper process of `models/processes/verifier.py`, seen from outside: started, supervised and ended."""

import os
import tempfile
import time
from dataclasses import dataclass
from typing import IO

import psutil

from flumen.models.errors import TooMuchMemory, VerifierUnavailable
from flumen.models.limits import VerifyLimits
from flumen.models.processes import pickling
from flumen.models.processes.child_process import (
    SILENT_S,
    TIMES_SILENT,
    ChildProcess,
    NotStarted,
    start_child,
)
from flumen.models.processes.verifier_tasks import SAID, Done, Request, Step, Task, Throttle

_LOOK_S = 0.02
_LONGEST_WORDS = 400


@dataclass(slots=True)
class Helper:
    """A helper, to be asked once `is_ready`. `words`: what it writes; `worked_s`: its processor time, as told."""

    child: ChildProcess
    words: IO[bytes]
    worked_s: float = 0.0
    is_ready: bool = False

    def run(self, task: Task, content: bytes, limits: VerifyLimits, throttle: Throttle) -> Done | None:
        """Let it do a task, and call `throttle` between its steps. None where it ended before it answered.

        Raises:
            TooMuchMemory: it takes more than it may; it has not ended yet.
        """
        silent_s = TIMES_SILENT * limits.time_s + SILENT_S
        allowed: int | None = None
        try:
            self.child.connection.send(Request(task, limits.time_s))
            self.child.connection.send_bytes(content)
            until = time.monotonic() + silent_s
            while time.monotonic() < until:
                memory = self._memory()
                if allowed is not None and memory > allowed:
                    raise TooMuchMemory(
                        f"{task.subject} takes more than {limits.memory_bytes:,} bytes of memory to verify, which is "
                        "max_model_load_memory_bytes. Look for large tensors that the network computes, and for very "
                        "many parts; if it is meant to be that large, raise the limit, or lower max_batch_size"
                    )
                if not self.child.connection.poll(_LOOK_S):
                    continue
                message = self._received()
                if isinstance(message, Done):
                    return message
                self.worked_s = message.worked_s
                allowed = allowed or self._memory() + limits.memory_bytes
                throttle()
                self.child.connection.send(None)
                until = time.monotonic() + silent_s
            self.child.process.kill()
        except (EOFError, OSError):
            pass
        return None

    def make_nice(self, niceness: int) -> None:
        """Let it have what others leave, if that is above 0."""
        if niceness:
            os.setpriority(os.PRIO_PROCESS, self.child.process.pid, niceness)

    def end(self) -> tuple[int, str]:
        """End it, and return its exit code and the end of what it wrote; a negative code is a signal."""
        code = self.child.end()
        with self.words:
            return code, _end_of(self.words)

    def _received(self) -> Done | Step:
        content = self.child.connection.recv_bytes()
        try:
            message: Done | Step = pickling.loads(content, (), SAID)
        except Exception as error:  # a file took it over: whatever it wrote leads to
            raise OSError(f"it sent what is no answer: {error}") from error
        return message

    def _memory(self) -> int:
        try:
            return int(psutil.Process(self.child.process.pid).memory_info().rss)
        except psutil.Error:  # it is gone, and its connection says so
            return 0


def start_helper() -> Helper:
    """Start one; it can be asked once `child.await_ready` has returned.

    Raises:
        VerifierUnavailable: it does not start.
    """
    try:
        words = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the helper
    except OSError as error:
        raise VerifierUnavailable(
            f"the process that verifies models does not start: {error}. Make room on this machine"
        ) from error
    try:
        return Helper(start_child("flumen.models.processes.verifier_process", words), words)
    except NotStarted as error:
        words.close()
        raise not_started(error, "it wrote nothing") from error


def not_started(error: NotStarted, words: str) -> VerifierUnavailable:
    """Return the error to raise where one does not start, with the end of what it wrote."""
    return VerifierUnavailable(f"the process that verifies models {error}: {words}")


def _end_of(words: IO[bytes]) -> str:
    words.seek(0)
    return words.read().decode(errors="replace").strip()[-_LONGEST_WORDS:] or "it wrote nothing"
