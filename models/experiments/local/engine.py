"""The processes of this machine that compute runs, each with one in hand."""

import collections
import contextlib
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from flumen.models.errors import ExperimentFailed
from flumen.models.experiments.engine import Ended
from flumen.models.experiments.jobs import Export, Job
from flumen.models.experiments.setting import Setting
from flumen.models.processes.child_process import ChildProcess, NotStarted, start_child

_MODULE = "flumen.models.experiments.local.child"


@dataclass(slots=True)
class LocalEngine:
    """Up to `size` processes, each for one run at a time and with one thread for its products."""

    size: int
    _free: "collections.deque[ChildProcess]" = field(default_factory=collections.deque)
    _busy: dict[str, ChildProcess] = field(default_factory=dict)

    @property
    def machine(self) -> str:
        """The machine that it runs on."""
        return f"{platform.node()}, {platform.machine()}, {cores()} cores"

    @property
    def has_room(self) -> bool:
        """Whether another run can be begun."""
        return len(self._busy) < self.size

    def in_order(self, settings: Sequence[Setting]) -> list[Setting]:
        """Return them as they are."""
        return list(settings)

    def begin(self, run_id: str, job: Job) -> None:
        """Have a run computed.

        Raises:
            ExperimentFailed: no process can be started.
        """
        self._busy[run_id] = self._free.popleft() if self._free else _started()
        self._say(run_id, job)

    def export(self, run_id: str, asked: Export) -> None:
        """Ask the process that has computed a run for its model."""
        self._say(run_id, asked)

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

    def _say(self, run_id: str, message: object) -> None:
        with contextlib.suppress(OSError):  # that it has ended, `messages` tells
            self._busy[run_id].connection.send(message)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
