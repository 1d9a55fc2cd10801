"""`flumen experiment`: many trainings, none of them twice."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flumen.cli.invocation import as_called
from flumen.cli.learning.experiment_computing import compute_grid, open_runs
from flumen.cli.learning.experiment_engines import (
    Device,
    EngineChoice,
    EngineOption,
    Master,
    Processes,
)
from flumen.cli.learning.experiment_output import as_dict, print_experiments, print_run, print_runs, print_two
from flumen.cli.output import AsJson, errors, how_many, print_json
from flumen.models.experiments.search import MOST_SETTINGS
from flumen.streams.settings import load_settings

if TYPE_CHECKING:
    from flumen.models.experiments.run import Run
    from flumen.models.experiments.run_store import RunStore

app = typer.Typer(
    help="Train with many settings, none of them twice; see and compare what came of them.",
    no_args_is_help=True,
)

_CTRL_C = 130
_MOST_NAMED = 5

GridFile = Annotated[
    str,
    typer.Argument(
        metavar="GRID", help="A grid file (TOML); or article, article-table: those of the article."
    ),
]
Data = Annotated[Path | None, typer.Option(help="Folder or file of the images, instead of the grid's.")]
KeepOption = Annotated[
    str,
    typer.Option(
        "--keep", help="Whose models are registered: best (whenever a run is the best so far), all, none."
    ),
]
HalvingOption = Annotated[
    bool, typer.Option("--halving", help="All settings for few epochs, and the best of them for more.")
]
Most = Annotated[int, typer.Option(min=1, help="Settings that a grid may make.")]
Root = Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")]
RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="The run's id, as `flumen experiment list NAME` shows it.")
]
OfData = Annotated[
    str, typer.Option("--of", help="Beginning of the data's fingerprint, where a run stands for several.")
]


@app.command()
def run(
    grid: GridFile,
    *,
    data: Data = None,
    engine: EngineOption = "local",
    processes: Processes = None,
    device: Device = None,
    master: Master = None,
    keep: KeepOption = "best",
    halving: HalvingOption = False,
    most: Most = MOST_SETTINGS,
    root: Root = None,
    as_json: AsJson = False,
) -> None:
    """Compute every setting of a grid that does not stand yet; several machines may do so at once."""
    _compute(grid, data, EngineChoice(engine, processes, device, master), keep, halving, most, root, as_json)


@app.command()
def resume(
    grid: GridFile,
    *,
    data: Data = None,
    engine: EngineOption = "local",
    processes: Processes = None,
    device: Device = None,
    master: Master = None,
    keep: KeepOption = "best",
    halving: HalvingOption = False,
    most: Most = MOST_SETTINGS,
    root: Root = None,
    as_json: AsJson = False,
) -> None:
    """Go on with an experiment that was interrupted: as run, and an error where there is nothing to go on with."""
    from flumen.models.experiments.grid import read_grid

    choice = EngineChoice(engine, processes, device, master)
    with open_runs(load_settings()) as store:
        _found(store.list(read_grid(grid).name), f"no run of the experiment {read_grid(grid).name!r}")
    _compute(grid, data, choice, keep, halving, most, root, as_json)


@app.command("list")
def list_runs(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="An experiment; all of them, if unset.")] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """List the experiments, or the runs of one: accuracy by rate and seed, and the best first."""
    with open_runs(load_settings()) as store:
        if name:
            print_runs(_found(store.list(name), f"no run of the experiment {name!r}"), as_json)
        else:
            print_experiments(store.experiments(), as_json)


@app.command()
def show(run_id: RunId, *, of: OfData = "", as_json: AsJson = False) -> None:
    """Show all that is known of a run."""
    with open_runs(load_settings()) as store:
        found = _one(store, run_id, of)
        print_run(found, as_json, store.list(data_sha256=found.data_sha256))


@app.command()
def compare(
    one: RunId,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The run to compare it with.")],
    *,
    of: OfData = "",
    as_json: AsJson = False,
) -> None:
    """Show in which parameters two runs differ, and in which measures."""
    with open_runs(load_settings()) as store:
        print_two(_one(store, one, of), _one(store, other, of), as_json)


def _compute(
    source: str,
    data: Path | None,
    engine: EngineChoice,
    keep: str,
    halving: bool,
    most: int,
    root: str | None,
    as_json: bool,
) -> None:
    from flumen.models.experiments.grid import read_grid

    if keep not in ("best", "all", "none"):
        raise typer.BadParameter("allowed are best, all, none", param_hint="--keep")
    settings = load_settings()
    grid = read_grid(source)
    if data is not None:
        grid = replace(grid, data=replace(grid.data, options={**grid.data.options, "data": str(data)}))
    with open_runs(settings) as store, _interruptible(source):
        runs = compute_grid(grid, store, settings, engine, keep, halving, most, root)
    if as_json:
        print_json([as_dict(each) for each in runs])
    else:
        print_runs(runs, as_json=False)
    _refuse_failed(runs, source)


@contextlib.contextmanager
def _interruptible(source: str) -> Iterator[None]:
    """Say how to go on after Ctrl-C or SIGTERM; what was in hand has been given back by then."""
    from flumen.cli.interruption import signals_end

    with signals_end():
        try:
            yield
        except (KeyboardInterrupt, SystemExit) as error:
            errors.print(
                as_called(f"interrupted. What stands is kept; `flumen experiment resume {source}` goes on."),
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
            raise typer.Exit(error.code if isinstance(error, SystemExit) else _CTRL_C) from error  # type: ignore[arg-type]


def _found(runs: "Sequence[Run]", what: str) -> "Sequence[Run]":
    from flumen.models.errors import RunNotFound

    if not runs:
        raise RunNotFound(f"there is {what} in Kudu; `flumen experiment list` shows what there is")
    return runs


def _one(store: "RunStore", run_id: str, of: str) -> "Run":
    from flumen.models.errors import RunNotFound

    found = [each for each in store.get(run_id) if each.data_sha256.startswith(of)]
    _found(found, f"no run {run_id!r}{f' of the data {of!r}' if of else ''}")
    if len(found) > 1:
        known = ", ".join(each.data_sha256[:12] for each in found)
        raise RunNotFound(
            f"the run {run_id!r} stands for several selections of images; add --of, with one of: {known}"
        )
    return found[0]


def _refuse_failed(runs: "Sequence[Run]", source: str) -> None:
    from flumen.models.errors import ExperimentFailed

    failed = [each for each in runs if each.state == "failed"]
    if failed:
        named = "; ".join(f"{each.run_id}: {each.error}" for each in failed[:_MOST_NAMED])
        raise ExperimentFailed(
            f"{len(failed)} of {how_many(len(runs), 'run')} failed ({named}). Mend that, then "
            f"`flumen experiment resume {source}`"
        )
