"""The processes of this machine that compute runs, each with one in hand."""

import collections
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from flumen.models.errors import ExperimentFailed
from flumen.models.experiments.local.jobs import Job
from flumen.models.processes.child_process import ChildProcess, NotStarted, start_child

_MODULE = "flumen.models.experiments.local.child"


@dataclass(frozen=True, slots=True)
class Ended:
    """A process ended by itself, and the run that it had in hand with it."""

    reason: str


@dataclass(slots=True)
class Team:
    """Up to `size` processes, each for one run at a time. It belongs to one thread."""

    size: int
    _free: "collections.deque[ChildProcess]" = field(default_factory=collections.deque)
    _busy: dict[str, ChildProcess] = field(default_factory=dict)

    @property
    def has_room(self) -> bool:
        """Whether another run can be begun."""
        return len(self._busy) < self.size

    def begin(self, run_id: str, job: Job) -> None:
        """Have a run computed.

        Raises:
            ExperimentFailed: no process can be started.
        """
        self._busy[run_id] = self._free.popleft() if self._free else _started()
        self.say(run_id, job)

    def say(self, run_id: str, message: object) -> None:
        """Say something to the process that has this run in hand; that it has ended, `messages` tells."""
        try:
            self._busy[run_id].connection.send(message)
        except OSError:
            return

    def messages(self, seconds: float) -> Iterator[tuple[str, Any]]:
        """Wait for so long at most; yield what the processes say, each with the run that it is about."""
        waiting = {child.connection: run_id for run_id, child in self._busy.items()}
        for connection in wait(list(waiting), seconds):
            assert isinstance(connection, Connection)
            run_id = waiting[connection]
            try:
                message = connection.recv()
            except (EOFError, OSError):
                message = Ended(_reason(self._busy.pop(run_id).end()))
            yield run_id, message

    def release(self, run_id: str) -> None:
        """Take the process of a run as free for the next."""
        self._free.append(self._busy.pop(run_id))

    def close(self) -> None:
        """End all processes at once, with whatever they have in hand."""
        children = [*self._free, *self._busy.values()]
        self._free.clear()
        self._busy.clear()
        for child in children:
            child.kill()
            child.connection.close()


def _started() -> ChildProcess:
    try:
        child = start_child(_MODULE)
        child.await_ready()
    except NotStarted as error:
        raise ExperimentFailed(f"a process to compute runs {error}. Then resume the experiment") from error
    return child


def _reason(code: int) -> str:
    if code < 0:
        return f"its process was ended by signal {-code}. If memory is short, use fewer processes"
    return f"its process ended with exit code {code}"
