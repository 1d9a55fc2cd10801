"""The steps from images to a model that classifies, for Python and notebooks: each does what its command does.

Nothing is printed, and no signal is taken; what goes wrong is raised. docs/python.md shows how they go together.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from flumen.cli.dataset_options import DatasetOptions, load_dataset
from flumen.streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from flumen.models.datasets.dataset import Dataset
    from flumen.models.manifest import Manifest
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
    from flumen.cli.model_index import tell_index
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
    from flumen.cli.model_swap import activate_version

    return activate_version(settings or load_settings(), str(reference), reason, timeout_s, though_worse)
