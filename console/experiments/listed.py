"""The experiments in a list."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from flumen.models.experiments.run import Run


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment by its name, its runs by their state, and the best of them, where one has an accuracy."""

    name: str
    states: Counter[str]
    best: Run | None

    @property
    def runs(self) -> int:
        """How many runs it has."""
        return self.states.total()


def experiments(runs: Iterable[Run]) -> list[Experiment]:
    """Return the experiments that runs belong to, by name."""
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run.experiment, []).append(run)
    return [
        Experiment(name, Counter(run.state for run in found), _best(found))
        for name, found in sorted(by_name.items())
    ]


def _best(runs: Iterable[Run]) -> Run | None:
    known = (run for run in runs if run.accuracy is not None)
    return max(known, key=lambda run: run.accuracy or 0.0, default=None)
