"""`flumen dataset`: the images to learn from, as they will be learnt from."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from flumen.cli.learning import dataset_options as given
from flumen.cli.output import AsJson, console, print_json, print_rows
from flumen.models.datasets.counts import class_counts, class_names, parts_of
from flumen.streams.settings import load_settings

if TYPE_CHECKING:
    from flumen.models.datasets.dataset import Dataset

app = typer.Typer(
    help="See the images to learn from: how many, of which classes, what was left out.", no_args_is_help=True
)

_DEFAULTS = given.DatasetOptions()


@app.callback()
def dataset() -> None:
    """See the images to learn from: how many, of which classes, what was left out."""


@app.command()
def show(
    *,
    kind: given.From = _DEFAULTS.kind,
    data: given.Data = None,
    where: given.Where = _DEFAULTS.where,
    label: given.Label = _DEFAULTS.label,
    group: given.Group = None,
    labels: given.Labels = None,
    size: given.Size = None,
    colour: given.Colour = False,
    resize: given.Resize = _DEFAULTS.resize,
    like: given.Like = None,
    validation: given.Validation = None,
    test: given.Test = _DEFAULTS.test,
    snapshot: given.Snapshot = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the arrays to this file too, in NumPy's format npz.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read the images as `flumen train` does, and count them by part and class; name what was left out."""
    options = given.DatasetOptions(
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
    found = given.read_images(options, load_settings())
    if export is not None:
        _export(found, export)
    if as_json:
        print_json(_as_dict(found))
        return
    print_rows(class_counts(found), as_json=False, title=found.fingerprint.text)
    console.print(f"fingerprint {found.fingerprint.sha256}", markup=False, highlight=False)


def _as_dict(found: "Dataset") -> dict[str, Any]:
    return {
        "sha256": found.fingerprint.sha256,
        "rows": found.fingerprint.rows,
        "text": found.fingerprint.text,
        "classes": class_counts(found),
        "skipped": [
            {"reason": each.reason, "count": each.count, "examples": list(each.examples)}
            for each in found.skipped
        ],
    }


def _export(found: "Dataset", path: Path) -> None:
    from flumen.streams.errors import NotSaved

    arrays: dict[str, Any] = {"labels": np.array(class_names(found))}
    for part, images in parts_of(found).items():
        arrays |= {f"{part}_pixels": images.pixels, f"{part}_labels": images.labels}
    try:
        with path.open("xb") as file, _whole_or_gone(path):
            np.savez(file, **arrays)
    except FileExistsError as error:
        raise NotSaved(f"{str(path)!r} exists already; name another file") from error
    except OSError as error:
        raise NotSaved(
            f"{str(path)!r} cannot be written: {error.strerror or error}. Name another file"
        ) from error


@contextmanager
def _whole_or_gone(path: Path) -> Iterator[None]:
    """Remove a file that is not written to its end: the disk is full, or somebody has pressed Ctrl-C."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
