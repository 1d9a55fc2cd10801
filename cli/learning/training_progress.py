"""How a training shows its rounds: a bar with the time left on a terminal, else a line each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from flumen.cli.interruption import Interruption
from flumen.cli.output import errors
from flumen.models.trainers.trainer import Progress

Report = Callable[[Progress], bool]


@contextmanager
def shown_rounds(interruption: Interruption) -> Iterator[Report]:
    """Give what a trainer reports its rounds to: they are shown, and a signal ends training after the round."""
    with Bar(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=errors,
        disable=not errors.is_terminal,
    ) as bar:
        shown = bar.add_task("training", total=None, note="first round", left="")
        best: list[Progress] = []

        def report(progress: Progress) -> bool:
            if progress.accuracy is None or not best or progress.accuracy > (best[-1].accuracy or 0):
                best.append(progress)
            if errors.is_terminal:
                bar.update(
                    shown,
                    completed=progress.number,
                    total=progress.total,
                    note=_note(progress),
                    left=_left(progress),
                )
            else:
                errors.print(_line(progress), highlight=False)
            if interruption.has_come():
                errors.print(
                    f"Interrupted after round {progress.number}: going on with the best so far, round "
                    f"{best[-1].number}. Interrupt again to keep nothing.",
                    highlight=False,
                )
                return False
            return True

        yield report


def _line(progress: Progress) -> str:
    width = len(str(progress.total))
    return f"round {progress.number:>{width}}/{progress.total}   {_note(progress)}   {progress.seconds:.1f} s"


def _left(progress: Progress) -> str:
    """Say how long it takes still, if the rounds to come take as long as those before."""
    seconds = progress.seconds / progress.number * (progress.total - progress.number)
    return f"{timedelta(seconds=round(seconds))} left"


def _note(progress: Progress) -> str:
    parts = []
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4f}")
    if progress.accuracy is not None:
        parts.append(f"validation accuracy {progress.accuracy:.4f}")
    return "   ".join(parts)
