"""The options `--shapes` and `--textures`: the data sets that are made here, in place of one that `--from` names."""

from typing import TYPE_CHECKING, Annotated

import typer

from flumen.models.errors import DatasetInvalid

if TYPE_CHECKING:
    from flumen.models.datasets.dataset import Dataset

Shapes = Annotated[bool, typer.Option("--shapes", help="In place of --from: shapes in colour, drawn here.")]
Textures = Annotated[
    bool,
    typer.Option(
        "--textures",
        help="In place of --from: patches of five photographs that scikit-image brings (extra textures).",
    ),
]


def own_dataset(*, shapes: bool, textures: bool) -> str | None:
    """Return the name of the one that is asked for; None where there is none.

    Raises:
        DatasetInvalid: both are.
    """
    if shapes and textures:
        raise DatasetInvalid("the images are --shapes or --textures; leave out one of them")
    return "shapes" if shapes else "textures" if textures else None


def make_own(name: str, validation: float | None = None) -> "Dataset":
    """Return one by its name, with that share of the images to choose by.

    Raises:
        DatasetInvalid: the textures, which have a validation part, are to be given another one.
        ExtraMissing: scikit-image is not installed.
    """
    from flumen.models.datasets import shapes, textures
    from flumen.models.datasets.dataset import with_validation

    if name == "shapes":
        return with_validation(shapes.draw_dataset(), validation or 0.0)
    if validation is not None:
        # Patches overlap: one drawn by chance would be half in another one, which is learnt from.
        raise DatasetInvalid("the textures have a validation part of their own; leave out --validation")
    return textures.cut_dataset()


def own_labels(name: str) -> tuple[str, ...]:
    """Return the labels of one by its name, without an image of it."""
    from flumen.models.datasets import shapes, textures

    return shapes.LABELS if name == "shapes" else textures.LABELS


def own_test_images(name: str) -> "Dataset":
    """Return one by its name, for its test part alone: others may be smaller.

    Raises:
        ExtraMissing: scikit-image is not installed.
    """
    from flumen.models.datasets import shapes

    return shapes.draw_dataset(train=1) if name == "shapes" else make_own(name)
