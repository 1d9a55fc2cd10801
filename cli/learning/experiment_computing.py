"""What `flumen experiment run` does, for the command and for programs: every setting of a grid, once."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flumen.cli.learning.experiment_engines import EngineChoice, open_engine
from flumen.cli.output import errors, iso_time
from flumen.models.experiments.search import MOST_SETTINGS
from flumen.streams.settings import Settings

if TYPE_CHECKING:
    from flumen.cli.learning.dataset_options import DatasetOptions
    from flumen.models.experiments.grid import Data as GridData
    from flumen.models.experiments.grid import Grid
    from flumen.models.experiments.run import Run
    from flumen.models.experiments.run_store import RunStore

_PATIENCE_S = 600.0
"""How long an experiment waits for a Kudu that has answered before, seconds."""


def compute_grid(
    grid: "Grid",
    store: "RunStore",
    settings: Settings,
    choice: EngineChoice,
    keep: str = "best",
    halving: bool = False,
    most: int = MOST_SETTINGS,
    root: str | None = None,
) -> "Sequence[Run]":
    """Return the runs of every setting of a grid, once each stands; show on standard error how far it is."""
    from flumen.cli.learning.dataset_options import read_images
    from flumen.cli.learning.experiment_progress import Shown
    from flumen.cli.models.index import tell_index
    from flumen.models.experiments.data import choose_images
    from flumen.models.experiments.halving import by_halving, halving_of
    from flumen.models.experiments.keeping import Keeper
    from flumen.models.experiments.own_folder import own_folder
    from flumen.models.experiments.scheduler import Scheduler
    from flumen.models.experiments.search import settings_of
    from flumen.models.repository import Repository
    from flumen.models.trainers.trainer import find_trainer

    trainer = find_trainer(grid.trainer)
    # What is wrong with the grid is said before the images are read, which may take long.
    settings_of(grid, trainer, min(grid.outputs, default=1), most)
    grid = _at_one_moment(grid, store)
    images = choose_images(read_images(dataset_options(grid.data), settings, root=root), grid.data, trainer)
    wanted = settings_of(grid, trainer, len(images.labels), most)
    rungs = None
    if halving or grid.halving:
        rungs = halving_of(grid, wanted, may_choose=images.dataset.validation is not None)
    repository = Repository(root or settings.model_repository, limits=settings.verify_limits())
    keeper = Keeper(repository, grid.model, keep, images)  # type: ignore[arg-type]
    try:
        with (
            own_folder("flumen-runs-") as folder,
            open_engine(choice, trainer) as engine,
            Shown(len(wanted)) as shown,
        ):
            arrays = images.in_files(folder)
            scheduler = Scheduler(store, images, arrays, grid.name, keeper, shown, engine)
            if rungs is None:
                return scheduler.compute(wanted)
            return by_halving(wanted, rungs, lambda rung: scheduler.compute(shown.rung(rung)))
    finally:
        # Whatever ended it: they are registered, and are to be found.
        if keeper.registered:
            tell_index(settings, repository, *keeper.registered)


def _at_one_moment(grid: "Grid", store: "RunStore") -> "Grid":
    """Return a grid whose images in Kudu are those that the experiment began with; say so where that was before."""
    from flumen.models.experiments.moment import at_one_moment, moment_of

    now_us = time.time_ns() // 1000
    runs = store.list(grid.name)
    own = [run for run in runs if run.experiment == grid.name]
    data = at_one_moment(grid.data, own or runs, now_us)
    moment = moment_of(data)
    if data != grid.data and moment is not None and moment != now_us:
        errors.print(
            f"Kudu's images are those of {iso_time(moment)}Z, when the experiment {grid.name!r} began. An experiment "
            "of another name, or snapshot in the grid, takes others.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    return replace(grid, data=data)


def dataset_options(data: "GridData") -> "DatasetOptions":
    """Return a grid's images as the options of `flumen train` that they are."""
    from flumen.cli.learning.dataset_options import DatasetOptions

    fields = {"from": "kind", "snapshot": "snapshot_us"}
    given: dict[str, Any] = {fields.get(name, name): value for name, value in data.options.items()}
    if "data" in given:
        given["data"] = Path(given["data"])
    return DatasetOptions(**given)


@contextlib.contextmanager
def open_runs(settings: Settings) -> "Iterator[RunStore]":
    """Open the runs that stand in Kudu, for as long as the context lasts."""
    from flumen.models.experiments.run_store import RunStore
    from flumen.stores.kudu import KuduRuns

    store = RunStore(KuduRuns(settings.kudu_options(), _PATIENCE_S))
    try:
        yield store
    finally:
        store.close()
