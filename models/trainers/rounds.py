"""Which round of a training is the best, and when there is no use in another one."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from flumen.models.errors import TrainingFailed
from flumen.models.trainers.trainer import Progress, Task

State = TypeVar("State")


class Rounds(Generic[State]):
    """Every round so far, and what had been learnt at the end of the best one.

    The best has the highest accuracy on the validation part, and is the earliest of those; without a validation part
    it is the latest.
    """

    def __init__(self, task: Task, total: int, patience: int) -> None:
        """Begin. `total`: rounds there are to be; `patience`: those without a better one before it stops; 0: all."""
        self.all: list[Progress] = []
        self.best: State | None = None
        self.best_number = 0
        self._task = task
        self._total = total
        self._patience = patience
        self._accuracy = -1.0
        self._started = time.perf_counter()

    def take(self, loss: float | None, accuracy: float | None, state: Callable[[], State]) -> bool:
        """Note a round and report it; return whether to go on. `state` gives what stands to be kept."""
        number = len(self.all) + 1
        if accuracy is None or accuracy > self._accuracy:
            self.best, self.best_number = state(), number
            self._accuracy = self._accuracy if accuracy is None else accuracy
        progress = Progress(number, self._total, loss, accuracy, time.perf_counter() - self._started)
        self.all.append(progress)
        wanted = self._task.report(progress)
        is_hopeless = bool(self._patience) and number - self.best_number >= self._patience
        return wanted and not is_hopeless and number < self._total

    def result(self) -> State:
        """Return the best.

        Raises:
            TrainingFailed: there was no round.
        """
        if self.best is None:
            raise TrainingFailed("training ended before its first round did, so nothing was learnt")
        return self.best
