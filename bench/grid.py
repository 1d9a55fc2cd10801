"""The article's grid of 140 settings on this machine: a slice of it measured, the rest by arithmetic.

Settings from all over the grid run for few epochs, by as many processes as there are cores, with their runs in Kudu and
their models in a repository. How long training takes, for two numbers of epochs, says what an epoch takes; whatever
else a process has a run in hand for, from its claim to its end, counts once a run. That is a little too much: among few
runs, more are the best so far and have their models registered. The images to choose by are a tenth, as halving wants.
"""

import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from bench.datasets import drop_tables
from flumen.models.datasets.dataset import read_dataset, with_validation
from flumen.models.experiments.data import choose_images
from flumen.models.experiments.grid import Halving, read_grid
from flumen.models.experiments.halving import halving_of
from flumen.models.experiments.keeping import Keeper
from flumen.models.experiments.local.engine import LocalEngine, cores
from flumen.models.experiments.run import Round, Run
from flumen.models.experiments.run_store import RunStore
from flumen.models.experiments.scheduler import Scheduler
from flumen.models.experiments.search import MOST_SETTINGS, at_rung, settings_of
from flumen.models.experiments.setting import EPOCHS, Setting
from flumen.models.repository import Repository
from flumen.models.trainers.trainer import find_trainer
from flumen.stores.kudu import KuduOptions, KuduRuns

_DATA = Path(__file__).parents[1] / "data" / "mnist"
_VALIDATION = 0.1
_EVERY = 18
"""One of so many settings: 8 of 140, with each number of outputs, and every rate but one."""
_FEW, _MORE = 1, 3
"""Epochs."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that a process has a run in hand: `each` of it, and `epoch` for each epoch; and until all have begun."""

    each: float
    epoch: float
    start: float
    processes: int

    def minutes(self, rungs: Sequence[tuple[int, int]]) -> float:
        """Return how long it takes to compute rungs: how many settings, for how many epochs."""
        in_hand = sum(settings * (self.each + self.epoch * epochs) for settings, epochs in rungs)
        return (self.start * len(rungs) + in_hand / self.processes) / 60


@dataclass(frozen=True, slots=True)
class Extrapolated:
    """Minutes for the whole grid, by arithmetic from a slice. `measured_s`: how long the slice took."""

    settings: int
    epochs: int
    whole: float
    rungs: tuple[tuple[int, int], ...]
    by_halving: float
    cost: Cost
    measured: int
    measured_s: float


class _Unwatched:
    """`flumen.models.experiments.scheduler.Watcher` that looks away."""

    def ended(self, run: Run, *, here: bool) -> None: ...

    def progress(self, run: Run, last: Round) -> None: ...

    def waits(self, held: int) -> None: ...


def extrapolate(masters: str) -> Extrapolated:
    """Measure a slice of the grid, and reckon the whole."""
    grid = read_grid("article")
    trainer = find_trainer(grid.trainer)
    images = choose_images(with_validation(read_dataset(_DATA), _VALIDATION), grid.data, trainer)
    settings = settings_of(grid, trainer, len(images.labels), MOST_SETTINGS)
    some = settings[::_EVERY]
    options = KuduOptions(masters=masters, table_prefix=f"bench_{uuid4().hex[:8]}_")
    store = RunStore(KuduRuns(options))
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="flumen-bench-") as folder:
            arrays = images.in_files(_made(Path(folder) / "arrays"))
            keeper = Keeper(Repository(Path(folder) / "models"), grid.model, "best", images)
            engine = LocalEngine(cores())
            scheduler = Scheduler(store, images, arrays, grid.name, keeper, _Unwatched(), engine)
            cost = cost_of(*(_computed(scheduler, at_rung(some, epochs)) for epochs in (_FEW, _MORE)))
    finally:
        store.close()
        drop_tables(masters, options.table_prefix)
    epochs = int(str(settings[0].parameters[EPOCHS]))
    rungs = rungs_of(halving_of(grid, settings, may_choose=True), len(settings))
    return Extrapolated(
        len(settings),
        epochs,
        cost.minutes([(len(settings), epochs)]),
        rungs,
        cost.minutes(rungs),
        cost,
        len(some) * (_FEW + _MORE),
        time.monotonic() - started,
    )


@dataclass(frozen=True, slots=True)
class Rung:
    """Means of some runs, seconds: their training, what else a process had them in hand for; and until all began."""

    training: float
    beside: float
    start: float


def _computed(scheduler: Scheduler, settings: Sequence[Setting]) -> Rung:
    started = time.time()
    runs = scheduler.compute(settings)
    wall = time.time() - started
    assert {run.state for run in runs} <= {"done", "diverged"}, [run.error for run in runs]
    in_hand = [((run.ended_at or 0) - (run.started_at or 0)) / 1e6 for run in runs]
    training = statistics.mean(run.duration_s or 0.0 for run in runs)
    return Rung(training, statistics.mean(in_hand) - training, max(0.0, wall - sum(in_hand) / cores()))


def cost_of(few: Rung, more: Rung) -> Cost:
    epoch = (more.training - few.training) / (_MORE - _FEW)
    beside = statistics.mean((few.beside, more.beside))
    return Cost(few.training - epoch * _FEW + beside, epoch, few.start, cores())


def rungs_of(halving: Halving, count: int) -> tuple[tuple[int, int], ...]:
    """Return how many settings each rung of a halving computes, and for how many epochs, where all of them end well."""
    rungs = []
    for epochs in halving.rungs:
        rungs.append((count, epochs))
        count = math.ceil(halving.keep * count)
    return tuple(rungs)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
