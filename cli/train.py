"""`flumen train`."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from flumen.cli.output import AsJson, console, errors, print_json, print_rows, print_whole
from flumen.models.evaluation.measures import Evaluation
from flumen.models.repository import CHAMPION, Repository
from flumen.models.trainers.network import Epoch, Parameters
from flumen.streams.settings import load_settings

_MOST_CLASSES_SHOWN = 20

DEFAULTS = Parameters()


def train(
    *,
    shapes: Annotated[
        bool, typer.Option("--shapes", help="Learn from shapes in colour, drawn here, instead of --data.")
    ] = False,
    rate: Annotated[
        float | None, typer.Option(min=1e-9, max=10, help=f"Learning rate; {DEFAULTS.rate} if unset.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all chance.")] = DEFAULTS.seed,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help=f"Times through the images; {DEFAULTS.epochs} if unset."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=100_000, help=f"Images a step; {DEFAULTS.batch_size} if unset.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder of the four IDX files.")] = Path("data/mnist"),
    name: Annotated[str | None, typer.Option(help="Name of the model; mnist or shapes if unset.")] = None,
    root: Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")] = None,
    register: Annotated[bool, typer.Option(help="Keep the model in the repository.")] = True,
    as_json: AsJson = False,
) -> None:
    """Train the article's network and register it as the next version; the first becomes the champion.

    With --shapes, a small network of colour images, with defaults of its own.
    """
    from flumen.models.datasets.dataset import read_dataset
    from flumen.models.datasets.shapes import PARAMETERS, draw_dataset
    from flumen.models.trainers.making import make_model

    settings = load_settings()
    repository = Repository(root or settings.model_repository, limits=settings.verify_limits())
    name = name or ("shapes" if shapes else "mnist")
    given = {"rate": rate, "epochs": epochs, "batch_size": batch_size}
    chosen: dict[str, Any] = {option: value for option, value in given.items() if value is not None}
    parameters = replace(PARAMETERS if shapes else DEFAULTS, seed=seed, **chosen)
    dataset = draw_dataset() if shapes else read_dataset(data)
    content, manifest, evaluation = make_model(name, dataset, parameters, _show_epoch(parameters.epochs))
    version = None
    if register:
        version = repository.register(content, manifest)
        if repository.alias(name, CHAMPION) is None:
            repository.set_alias(name, CHAMPION, version)
    if as_json:
        print_json({"name": name, "version": version, "sha256": manifest.sha256, **_as_dict(evaluation)})
        return
    print_evaluation(evaluation)
    if version is None:
        console.print("The model was not kept (--no-register).")
    else:
        console.print(f"Registered {name}@{version} in {repository.url}", markup=False)


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


def _show_epoch(epochs: int) -> Callable[[Epoch], None]:
    def show(epoch: Epoch) -> None:
        errors.print(
            f"epoch {epoch.number:>3}/{epochs}   loss {epoch.loss:.4f}   "
            f"test accuracy {epoch.test_accuracy:.4f}   {epoch.seconds:.1f} s",
            highlight=False,
        )

    return show


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
