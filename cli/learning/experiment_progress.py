"""How far an experiment is: a bar on a terminal, a line for each run elsewhere."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from flumen.cli.output import errors, progress_bar

if TYPE_CHECKING:
    from flumen.models.experiments.run import Round, Run
    from flumen.models.experiments.setting import Setting

_MINUTE = 60
_HOUR = 3600


class Shown:
    """`flumen.models.experiments.scheduler.Watcher` for people. `total`: how many runs there are to be."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = self._computed = 0
        self._best: Run | None = None
        self._waiting = 0
        self._began = time.monotonic()
        self._bar = progress_bar()
        self._task = self._bar.add_task("runs", total=total, note="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._bar.stop()

    def rung(self, settings: "Sequence[Setting]") -> "Sequence[Setting]":
        """Begin to count anew, for the next rung of a halving."""
        self._total, self._done, self._computed = len(settings), 0, 0
        self._began = time.monotonic()
        epochs = settings[0].parameters.get("epochs") if settings else None
        self._bar.reset(self._task, total=self._total, description=f"runs of {epochs} epochs")
        return settings

    def ended(self, run: "Run", *, here: bool) -> None:
        """Count a run, and say how it went where it was computed just now."""
        if run.state == "failed":
            self._line(run)
            return
        self._done += 1
        self._computed += here
        if run.accuracy is not None and (self._best is None or run.accuracy > (self._best.accuracy or 0)):
            self._best = run
        if here:
            self._line(run)
        self._bar.update(self._task, completed=self._done, note=self._note())

    def progress(self, run: "Run", last: "Round") -> None:
        """Nothing: there may be hundreds a second."""

    def waits(self, held: int) -> None:
        """Say once that others have what is left."""
        if held != self._waiting:
            self._waiting = held
            runs = "a run" if held == 1 else f"{held} runs"
            errors.print(f"waiting for {runs} that others have in hand", highlight=False)

    def _line(self, run: "Run") -> None:
        if errors.is_terminal and run.state == "done" and not run.error:
            return
        accuracy = "" if run.accuracy is None else f"   accuracy {run.accuracy:.4f}"
        took = "" if run.duration_s is None else f"   {run.duration_s:.1f} s"
        said = f"   {run.error}" if run.error else ""
        errors.print(
            f"{self._done:>4}/{self._total}   {run.run_id}   {run.state}{accuracy}{took}{said}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    def _note(self) -> str:
        best = f"best {self._best.accuracy:.4f} ({self._best.run_id})" if self._best else ""
        left = self._total - self._done
        if not self._computed or not left:
            return best
        seconds = (time.monotonic() - self._began) / self._computed * left
        return f"{best}, {_duration(seconds)} left".lstrip(", ")


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < _HOUR else f"{seconds / _HOUR:.1f} h"
