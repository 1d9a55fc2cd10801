"""The options that say which images to learn from, for every command that learns or shows them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flumen.cli.models.opening import open_repository

if TYPE_CHECKING:
    from flumen.interceptor import Preprocess
    from flumen.models.datasets.dataset import Dataset
    from flumen.models.manifest import Manifest
    from flumen.replay.datasets import Surroundings
    from flumen.streams.settings import Settings

ARTICLE = Path("data/mnist")
VALIDATION = 0.1

_KINDS = ("idx", "folder", "csv", "kudu")
_RESIZES = ("stretch", "crop", "pad", "none")

From = Annotated[
    str,
    typer.Option(
        "--from", metavar="KIND", help="Where the images are: idx, folder (of class folders), csv, or kudu."
    ),
]
Data = Annotated[
    Path | None, typer.Option(help="The folder, or the CSV file; of IDX files data/mnist if unset.")
]
Where = Annotated[str, typer.Option(help="Which images of Kudu's: a condition as in `flumen sql`.")]
Label = Annotated[str, typer.Option(help="Column of Kudu's with the number of the class.")]
Group = Annotated[
    str | None, typer.Option(help="Column of Kudu's whose equals stay on one side of the split.")
]
Labels = Annotated[
    str | None, typer.Option(help="Names of the classes 0, 1, ... of Kudu or CSV, with commas between.")
]
Size = Annotated[str | None, typer.Option(help="Width x height of the images to learn from; 28x28 if unset.")]
Colour = Annotated[bool, typer.Option("--colour", help="Learn from colour in place of grey.")]
Resize = Annotated[
    str, typer.Option(help="Of images of other sizes: stretch, crop, pad, or none to leave them out.")
]
Like = Annotated[
    str | None, typer.Option(help="A model whose size, colour and resizing are to be taken in their place.")
]
Validation = Annotated[
    float | None,
    typer.Option(min=0, max=0.9, help="Share of the images to choose by; 0.1, of IDX files 0, if unset."),
]
Test = Annotated[
    float, typer.Option(min=0.001, max=0.9, help="Share to test on; IDX files say it themselves.")
]
Snapshot = Annotated[
    int | None, typer.Option(help="Kudu's images as they were then: microseconds since the epoch.")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetOptions:
    """What the options said, as `load_dataset` takes it. `kind` is one of idx, folder, csv, kudu.

    Without `data`, IDX files are those of the article; without `validation`, a tenth of the images is to choose by, and
    none of IDX files', so that a model of theirs is of the same data as ever.
    """

    kind: str = "idx"
    data: Path | None = None
    where: str = ""
    label: str = "knownlabel"
    group: str | None = None
    labels: str | None = None
    size: str | None = None
    colour: bool = False
    resize: str = "stretch"
    like: str | None = None
    validation: float | None = None
    test: float = 0.1
    snapshot_us: int | None = None

    def given(self) -> Mapping[str, str]:
        """Return what is not as it is unless it is said: the options, by their fields."""
        return {
            each.name: _NAMES.get(each.name, f"--{each.name}")
            for each in fields(self)
            if getattr(self, each.name) != each.default
        }


_NAMES = {"kind": "--from", "snapshot_us": "--snapshot"}
_OF_ALL_BUT_IDX = ("folder", "csv", "kudu")
_READ_BY: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("where", "label", "group", "snapshot_us"), ("kudu",)),
    "labels": ("csv", "kudu"),
    **dict.fromkeys(("size", "colour", "resize", "like", "test"), _OF_ALL_BUT_IDX),
}
"""Which kinds of sources an option says something of; those that are not named here are read by all."""


def load_dataset(
    options: DatasetOptions,
    settings: "Settings",
    report: Callable[[int], None] = lambda _: None,
    model: "Manifest | None" = None,
    root: str | None = None,
) -> "Dataset":
    """Return the images to learn from, to choose by and to test on. `report` is told how many have been read.

    For a `model` they are of its size and come to it in its way, and its classes are theirs, where the options name
    none. `root`: the model repository in which the options' model is, if not that of the settings; which models have
    seen the images in Kudu, the settings' knows.

    Raises:
        typer.BadParameter: an option has no value of its kind.
        DatasetInvalid, IdxInvalid, ArraysUnwritable, BadQuery, StoreError, ModelNotFound: as `open_dataset`.
    """
    from flumen.models.datasets.split import Split
    from flumen.replay.datasets import Origin, open_dataset
    from flumen.replay.images import Selection

    _check(options)
    around, is_idx = surroundings(settings), options.kind == "idx"
    names = tuple(name.strip() for name in options.labels.split(",")) if options.labels else ()
    if model is not None and not names:
        names = model.labels
    selection = Selection(where=options.where, label=options.label, group=options.group, labels=names)
    origin = Origin(
        kind=options.kind,  # type: ignore[arg-type]
        path=ARTICLE if is_idx and options.data is None else options.data,
        selection=selection,
        picture=model.input.preprocess if model is not None else picture(options, settings, root),
        any_size=options.resize != "none",
        snapshot_us=options.snapshot_us,
    )
    validation = options.validation
    if validation is None:
        validation = 0.0 if is_idx else VALIDATION
    return open_dataset(origin, Split(validation, options.test), around, report)


def read_images(
    options: DatasetOptions,
    settings: "Settings",
    model: "Manifest | None" = None,
    root: str | None = None,
) -> "Dataset":
    """Return what `load_dataset` does; show how many have been read, and name what was left out."""
    from flumen.cli.output import errors, printable, progress_bar

    with progress_bar() as bar:
        task = bar.add_task("reading images", total=None, note="")
        found = load_dataset(options, settings, lambda count: bar.update(task, completed=count), model, root)
    for each in found.skipped:
        errors.print(f"left out: {printable(str(each))}", markup=False, highlight=False, soft_wrap=True)
    return found


def surroundings(settings: "Settings") -> "Surroundings":
    """Return what there is to read images with, by the settings."""
    from flumen.models.repository import Repository
    from flumen.replay.datasets import Surroundings
    from flumen.stores.artifacts.folders import cache_root

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Surroundings(
        arrays=cache_root() / "datasets",
        limits=settings.limits(),
        processes=settings.interception_processes or min(cores, 16),
        kudu=settings.kudu_options(),
        repository=Repository(settings.model_repository, limits=settings.verify_limits()),
    )


def _check(options: DatasetOptions) -> None:
    """Refuse what would not be heeded: with images chosen otherwise than was meant, a model looks as good."""
    if options.kind not in _KINDS:
        raise typer.BadParameter(f"--from is one of {', '.join(_KINDS)}, not {options.kind!r}")
    given = options.given()
    for name, kinds in _READ_BY.items():
        if name in given and options.kind not in kinds:
            raise typer.BadParameter(
                f"{given[name]} is for images --from {' or '.join(kinds)}, and these are --from {options.kind}: "
                "leave out the one, or say the other"
            )
    if options.like and {"size", "colour"} & set(given):
        raise typer.BadParameter("--like says the size and the colour; leave out --size and --colour")


def picture(options: DatasetOptions, settings: "Settings", root: str | None = None) -> "Preprocess":
    """Return the size of the images, and how they come to it: that of a model, or what the options say.

    `root`: the model repository in which that model is, if not that of the settings.
    """
    from flumen.interceptor import Preprocess

    if options.resize not in _RESIZES:
        raise typer.BadParameter(f"--resize is one of {', '.join(_RESIZES)}, not {options.resize!r}")
    if options.like:
        return open_repository(settings, root).resolve(options.like).input.preprocess
    width, height = _size(options.size or "28x28")
    resize: dict[str, Any] = {} if options.resize == "none" else {"resize": options.resize}
    return Preprocess(width, height, channels=3 if options.colour else 1, **resize)


def _size(text: str) -> tuple[int, int]:
    from flumen.models.manifest import MAX_SIDE

    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise typer.BadParameter(f"--size is like 28x28, not {text!r}")
    if not (1 <= int(width) <= MAX_SIDE and 1 <= int(height) <= MAX_SIDE):
        raise typer.BadParameter(f"--size: width and height are from 1 to {MAX_SIDE}")
    return int(width), int(height)
