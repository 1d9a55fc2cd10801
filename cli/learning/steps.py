"""The steps from images to a model that classifies, for Python and notebooks: each does what its command does.

No signal is taken, and what goes wrong is raised. docs/python.md shows how they go together.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from flumen.cli.learning.dataset_options import DatasetOptions, load_dataset
from flumen.streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from flumen.models.datasets.dataset import Dataset
    from flumen.models.manifest import Manifest
    from flumen.models.reports.experiment_page import ExperimentReport
    from flumen.models.trainers.making import Made
    from flumen.streams.control.operator.rollout import RolloutResult


def load_images(
    kind: str = "kudu",
    data: str | PathLike[str] | None = None,
    *,
    where: str = "",
    label: str = "knownlabel",
    group: str | None = None,
    labels: Sequence[str] = (),
    size: str | None = None,
    colour: bool = False,
    grey: bool = False,
    resize: str = "stretch",
    like: str | None = None,
    validation: float | None = None,
    test: float = 0.1,
    snapshot_us: int | None = None,
    report: Callable[[int], None] = lambda _: None,
    settings: Settings | None = None,
) -> "Dataset":
    """Return labelled images to learn from, to choose by and to test on, as `flumen train` reads them.

    Args:
        kind: where they are: `kudu`, `folder` (of class folders), `csv` or `idx`.
        data: the folder, or the CSV file.
        where: which images of Kudu's: a condition as in `flumen sql`.
        label: column of Kudu's with the number of the class.
        group: column of Kudu's whose equals stay on one side of the split.
        labels: names of the classes 0, 1, ... of Kudu's images or a CSV list.
        size: width x height, such as `32x32`; 28x28 if unset.
        colour: whether they are read in colour.
        grey: whether a model sees values 0 to 1, where it would see grey images binarised.
        resize: of images of other sizes: `stretch`, `crop`, `pad`, or `none` to leave them out.
        like: a model whose size, colour and resizing are taken in their place, such as `mnist@champion`.
        validation: share of the images to choose by; 0.1, of IDX files 0, if unset.
        test: share to test on; IDX files say it themselves.
        snapshot_us: Kudu's images as they were then, microseconds since the epoch.
        report: called with how many have been read, while they are.
        settings: those of every command, if unset.

    Raises:
        DatasetInvalid, IdxInvalid: there is no such source, or it gives no data to learn from.
        BadParameters: an argument has no value of its kind.
        ArraysUnwritable, BadQuery, StoreError, ModelNotFound: as the message says.
    """
    import typer

    from flumen.models.errors import BadParameters
    from flumen.models.trainers.tensors import valued_preprocess

    options = DatasetOptions(
        kind=kind,
        data=None if data is None else Path(data),
        where=where,
        label=label,
        group=group,
        labels=",".join(labels) or None,
        size=size,
        colour=colour,
        resize=resize,
        like=like,
        validation=validation,
        test=test,
        snapshot_us=snapshot_us,
    )
    try:
        dataset = load_dataset(options, settings or load_settings(), report)
    except typer.BadParameter as error:
        raise BadParameters(str(error)) from error
    if grey:
        dataset = replace(dataset, preprocess=dataset.seen_by(valued_preprocess(dataset.train.pixels)))
    return dataset


def register_model(made: "Made", settings: Settings | None = None) -> "Manifest":
    """Keep a model as the next version of its name, as `flumen train` does; the first becomes the champion.

    Its report stands beside it. Where Solr is one of the `sinks`, `flumen search --models` finds it.

    Returns:
        Its manifest, which has the version: `str` of it is `NAME@VERSION`.

    Raises:
        ModelError: it is refused, or cannot be written.
    """
    from flumen.cli.models.index import tell_index
    from flumen.models.repository import Repository
    from flumen.models.trainers.registering import register

    settings = settings or load_settings()
    repository = Repository(settings.model_repository, limits=settings.verify_limits())
    manifest = register(made, repository)
    tell_index(settings, repository, manifest)
    return manifest


def activate_model(
    reference: "str | Manifest",
    *,
    reason: str = "",
    though_worse: bool = False,
    timeout_s: float = 120,
    settings: Settings | None = None,
) -> "RolloutResult":
    """Let a version classify on every worker, or on none, as `flumen models activate` does.

    Args:
        reference: `NAME@VERSION`, or what `register_model` returned.
        reason: why, for the history.
        though_worse: whether it classifies though it has scored less than the champion.
        timeout_s: seconds that a worker may get nothing done.
        settings: those of every command, if unset.

    Returns:
        The workers that run it now, and how long it took; without any, the next one that starts takes it.

    Raises:
        ScoresWorse: it scored less than the champion on the same images; nothing was written.
        RolloutFailed: a worker refuses it or does not answer; the message says what stands.
        StateChanged: somebody else has changed the model meanwhile.
        ModelError, KafkaUnavailable: it cannot be read, or no broker answers.
    """
    from flumen.cli.models.swap import activate_version

    return activate_version(settings or load_settings(), str(reference), reason, timeout_s, though_worse)


def run_experiment(
    grid: str | PathLike[str],
    *,
    keep: str = "best",
    halving: bool = False,
    processes: int | None = None,
    settings: Settings | None = None,
) -> "ExperimentReport":
    """Compute every setting of a grid that does not stand yet, as `flumen experiment run` does.

    How far it is, is shown on standard error. Ctrl-C, or *Interrupt* of a notebook, gives back what is in hand; the
    same call goes on.

    Args:
        grid: a grid file, or `article`, `article-table`.
        keep: whose models are registered: `best`, `all` or `none`.
        halving: whether all settings run for few epochs, and the best of them for more.
        processes: runs at the same time; one for each core, if unset.
        settings: those of every command, if unset.

    Returns:
        All runs of the experiment, the best first, with their curves and plots.

    Raises:
        GridInvalid, DatasetInvalid: as the message says.
        StoreError: Kudu does not take the runs.
    """
    from flumen.cli.learning.experiment_computing import compute_grid, open_runs
    from flumen.cli.learning.experiment_engines import EngineChoice
    from flumen.models.experiments.grid import read_grid
    from flumen.models.reports.experiment_page import experiment_report

    settings = settings or load_settings()
    wanted = read_grid(str(grid))
    with open_runs(settings) as store:
        compute_grid(wanted, store, settings, EngineChoice(processes=processes), keep, halving)
        return experiment_report(store, wanted.name)


def read_experiment(name: str, settings: Settings | None = None) -> "ExperimentReport":
    """Return the runs of an experiment, the best first, as they stand in Kudu.

    Raises:
        RunNotFound: there is none.
        StoreError: Kudu does not answer.
    """
    from flumen.cli.learning.experiment_computing import open_runs
    from flumen.models.reports.experiment_page import experiment_report

    with open_runs(settings or load_settings()) as store:
        return experiment_report(store, name)
