"""`flumen train`."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from flumen.cli.interruption import interruptible
from flumen.cli.learning import dataset_options as options_of
from flumen.cli.learning.own_datasets import Shapes, Textures, make_own, own_dataset
from flumen.cli.models.index import tell_index
from flumen.cli.output import AsJson, console, print_json, print_rows, print_whole
from flumen.models.errors import BadParameters, DatasetInvalid
from flumen.models.evaluation.measures import Evaluation
from flumen.models.repository import Repository
from flumen.models.trainers.network import SHAPES, Parameters
from flumen.models.trainers.parameters import with_values
from flumen.models.trainers.trainer import DEFAULT_SEED, Trainer, find_trainer
from flumen.streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from flumen.models.datasets.dataset import Dataset

_MOST_CLASSES_SHOWN = 20
_BALANCED = "balanced"

DEFAULTS = Parameters()
_IMAGES = options_of.DatasetOptions()


def train(
    *,
    trainer: Annotated[
        str, typer.Option(help="What learns: network, logistic, trees, ...; `flumen trainers` lists them.")
    ] = "network",
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A parameter of the trainer, such as epochs=5; can be given again. `flumen trainers` lists them.",
        ),
    ] = None,
    shapes: Shapes = False,
    textures: Textures = False,
    rate: Annotated[
        float | None, typer.Option(min=1e-9, max=10, help="Learning rate, as --set rate=.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all chance.")] = DEFAULT_SEED,
    epochs: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Times through the images, as --set epochs=.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Images a step, as --set batch_size=.")
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(help="How much an image of each label counts: 1,2,1, or balanced: all labels alike."),
    ] = None,
    grey: Annotated[
        bool, typer.Option("--grey", help="Learn from values 0 to 1, instead of binarised above 30.")
    ] = False,
    embedding: Annotated[
        bool,
        typer.Option("--embedding", help="Let the model give its last hidden layer too, for search --like."),
    ] = False,
    kind: options_of.From = _IMAGES.kind,
    data: options_of.Data = None,
    where: options_of.Where = _IMAGES.where,
    label: options_of.Label = _IMAGES.label,
    group: options_of.Group = None,
    labels: options_of.Labels = None,
    size: options_of.Size = None,
    colour: options_of.Colour = False,
    resize: options_of.Resize = _IMAGES.resize,
    like: options_of.Like = None,
    validation: options_of.Validation = None,
    test: options_of.Test = _IMAGES.test,
    snapshot: options_of.Snapshot = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the model; of IDX files mnist, of --shapes and --textures as these, if unset."
        ),
    ] = None,
    root: Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")] = None,
    register: Annotated[bool, typer.Option(help="Keep the model in the repository.")] = True,
    index: Annotated[bool, typer.Option(help="Let `flumen search --models` find it by its scores.")] = True,
    as_json: AsJson = False,
) -> None:
    """Train a model and register it as the next version; the first becomes the champion.

    The article's network, unless --trainer names another one. With --shapes, a small network of colour images, with
    defaults of its own. With --textures, grey patches of photographs, for which --trainer convnet is made.

    Ctrl-C ends training after the round; the best so far is kept.
    """
    from flumen.cli.learning.training_progress import shown_rounds
    from flumen.models.names import check_name
    from flumen.models.trainers.embedding import TrainerWithEmbedding
    from flumen.models.trainers.making import make_model
    from flumen.models.trainers.registering import register as register_made

    settings = load_settings()
    repository = Repository(root or settings.model_repository, limits=settings.verify_limits())
    ours = own_dataset(shapes=shapes, textures=textures)
    if name is None and kind != "idx" and ours is None:
        raise typer.BadParameter(f"name the model that learns from --from {kind}, such as --name photos")
    name = check_name(name or ours or "mnist")
    chosen = options_of.DatasetOptions(
        kind=kind,
        data=data,
        where=where,
        label=label,
        group=group,
        labels=labels,
        size=size,
        colour=colour,
        resize=resize,
        like=like,
        validation=validation,
        test=test,
        snapshot_us=snapshot,
    )
    found = find_trainer(trainer)
    options = {"rate": rate, "epochs": epochs, "batch_size": batch_size}
    values = _values(given or []) | {option: value for option, value in options.items() if value is not None}
    parameters = with_values(_defaults(found, shapes), values)
    with interruptible(
        "interrupted again. `flumen models list` shows whether it was registered"
    ) as interruption:
        dataset = _read_images(chosen, settings, ours, root, grey=grey)
        weights = _weights(class_weights, dataset)
        interruption.hold()
        with shown_rounds(interruption) as report:
            made = make_model(
                name,
                dataset,
                TrainerWithEmbedding(found) if embedding else found,
                parameters,
                seed=seed,
                class_weights=weights,
                report=report,
            )
        version = None
        if register:
            manifest = register_made(made, repository)
            version = manifest.version
            if index:
                tell_index(settings, repository, manifest)
    if as_json:
        manifest = made.manifest
        print_json({"name": name, "version": version, "sha256": manifest.sha256, **_as_dict(made.evaluation)})
        return
    print_evaluation(made.evaluation)
    if version is None:
        console.print("The model was not kept (--no-register).")
    else:
        console.print(f"Registered {name}@{version} in {repository.url}", markup=False)


def _read_images(
    chosen: options_of.DatasetOptions, settings: Settings, ours: str | None, root: str | None, *, grey: bool
) -> "Dataset":
    """Return what is learnt from, whatever source the options name, and name what was left out."""
    from flumen.models.trainers.tensors import valued_preprocess

    if ours and grey:
        raise DatasetInvalid(f"the {ours} are seen as values already; leave out --grey")
    if ours:
        given = [option for field, option in chosen.given().items() if field != "validation"]
        if given:
            raise typer.BadParameter(f"--{ours} makes the images to learn from; leave out {', '.join(given)}")
        return make_own(ours, chosen.validation)
    dataset = options_of.read_images(chosen, settings, root=root)
    if grey:
        dataset = replace(dataset, preprocess=dataset.seen_by(valued_preprocess(dataset.train.pixels)))
    return dataset


def _defaults(trainer: Trainer, shapes: bool) -> Any:
    return SHAPES if shapes and trainer.parameters is Parameters else trainer.parameters()


def _values(given: list[str]) -> dict[str, object]:
    """Return NAME=VALUE as names and values."""
    values: dict[str, object] = {}
    for one in given:
        option, equals, value = one.partition("=")
        if not equals:
            raise BadParameters(f"--set {one} sets nothing; write it as --set {one}=VALUE")
        values[option.strip()] = value.strip()
    return values


def _weights(text: str | None, dataset: "Dataset") -> tuple[float, ...] | None:
    from flumen.models.trainers.checks import check_arrays, check_labels
    from flumen.models.trainers.class_weights import balanced_weights

    if text is None:
        return None
    if text == _BALANCED:
        check_arrays(dataset)
        check_labels(dataset)
        return balanced_weights(dataset.train)
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise BadParameters(
            f"the class weights are {text!r}; they have to be numbers with commas between them, or {_BALANCED}"
        ) from error


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the measures, those of each class, and the confusion matrix."""
    print_rows([_measures(evaluation)], as_json=False, title="On the test images")
    print_rows([asdict(one) for one in evaluation.classes], as_json=False)
    print_confusion([one.label for one in evaluation.classes], evaluation.confusion.tolist())


def print_confusion(labels: list[str], confusion: list[list[int]]) -> None:
    """Print how often each known label (a row) was classified as each label (a column)."""
    if len(labels) > _MOST_CLASSES_SHOWN:
        print_rows(_confused(labels, confusion), as_json=False, title="Confused most often")
        return
    # Not as the table's title, which would be broken to the width of a table with few labels.
    console.print("Known label (rows) classified as (columns)", style="italic")
    table = Table()
    table.add_column("")
    for label in labels:
        table.add_column(Text(label), justify="right")
    for position, (label, row) in enumerate(zip(labels, confusion, strict=True)):
        cells = [
            f"[bold]{count}[/]" if column == position else str(count) for column, count in enumerate(row)
        ]
        table.add_row(label, *cells)
    print_whole(table)


def _confused(labels: list[str], confusion: list[list[int]]) -> list[dict[str, Any]]:
    """Return which known label was taken for which other one, and how often; the most frequent first."""
    pairs: list[dict[str, Any]] = [
        {"known": labels[known], "classified_as": labels[answer], "images": count}
        for known, row in enumerate(confusion)
        for answer, count in enumerate(row)
        if count and known != answer
    ]
    return sorted(pairs, key=lambda pair: -pair["images"])[:_MOST_CLASSES_SHOWN]


def _measures(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "images": evaluation.images,
        "accuracy": evaluation.accuracy,
        "precision": evaluation.precision,
        "recall": evaluation.recall,
        "f1": evaluation.f1,
    }


def _as_dict(evaluation: Evaluation) -> dict[str, Any]:
    return {
        **_measures(evaluation),
        "classes": [asdict(one) for one in evaluation.classes],
        "confusion": evaluation.confusion.tolist(),
    }
