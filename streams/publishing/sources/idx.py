"""Images out of IDX files, the format of MNIST: each becomes a PNG, its label from the file beside it."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flumen.models.datasets.idx import read_idx, read_shape
from flumen.models.errors import IdxInvalid
from flumen.streams.errors import SourceUnreadable
from flumen.streams.publishing.sources.files import Content, FoundFile, printable, unreadable

_NAME = re.compile(r"(?P<stem>.+?)([-.]idx[0-9]?(-ubyte)?|-ubyte)(\.gz)?", re.IGNORECASE | re.DOTALL)
_LABELS = 1
_IMAGES = 3


def is_idx(path: Path) -> bool:
    """Say whether a file is an IDX file by its name: `*.idx`, `*-ubyte`, either with `.gz`."""
    return _NAME.fullmatch(path.name) is not None


def is_label_file(file: FoundFile) -> bool:
    """Say whether an IDX file holds labels: one number a row."""
    return len(_shape(file)) == _LABELS


def count_idx(file: FoundFile) -> int:
    """Return how many images an IDX file's header announces; 0 if it cannot be read."""
    shape = _shape(file)
    return shape[0] if len(shape) == _IMAGES else 0


def read_idx_images(file: FoundFile, labels: FoundFile | None) -> Iterator[Content | SourceUnreadable]:
    """Yield each image of an IDX file as a PNG, or one error if the file or its labels cannot be read.

    `labels` is the label file; without it, the one beside the images is taken, if there is one.
    """
    try:
        images = _read(file, _IMAGES)
        known = _read_labels(labels or _label_file_beside(file), len(images))
    except SourceUnreadable as error:
        yield error
        return
    match = _NAME.fullmatch(file.path.name)
    assert match is not None, "only files that are IDX by their name come here"
    stem = printable(match["stem"])
    prefix = file.id.removesuffix(printable(file.path.name))
    for row, pixels in enumerate(images):
        name = f"{stem}-{row:05d}"
        yield Content(
            f"{prefix}{name}", f"{name}.png", _as_png(pixels), None if known is None else int(known[row])
        )


def _read(file: FoundFile, dimensions: int) -> NDArray[np.uint8]:
    name = str(file.path)
    try:
        with file.open() as stream:
            values = read_idx(stream, name)
    except OSError as error:
        raise unreadable(name, error) from error
    except IdxInvalid as error:
        raise SourceUnreadable(str(error)) from error
    if values.ndim != dimensions:
        raise SourceUnreadable(
            f"{name!r} has {values.ndim} dimensions; images have {_IMAGES} and labels {_LABELS}"
        )
    if 0 in values.shape[1:]:
        raise SourceUnreadable(f"{name!r} holds images without pixels: {values.shape}")
    return values


def _read_labels(file: FoundFile | None, count: int) -> NDArray[np.uint8] | None:
    if file is None:
        return None
    labels = _read(file, _LABELS)
    if len(labels) != count:
        raise SourceUnreadable(f"{str(file.path)!r} has {len(labels):,} labels for {count:,} images")
    return labels


def _label_file_beside(images: FoundFile) -> FoundFile | None:
    name = images.path.name.replace("images", "labels").replace("idx3", "idx1")
    plain = name.removesuffix(".gz")
    candidates = (images.beside(candidate) for candidate in (name, plain, f"{plain}.gz"))
    return next((file for file in candidates if file != images and file.path.is_file()), None)


def _as_png(pixels: NDArray[np.uint8]) -> bytes:
    png = BytesIO()
    # On 28x28 digits, level 3 is as fast as 1 and as small as 9.
    Image.fromarray(pixels).save(png, "PNG", compress_level=3)
    return png.getvalue()


def _shape(file: FoundFile) -> tuple[int, ...]:
    """Return the shape in an IDX file's header; empty if there is none."""
    try:
        with file.open() as stream:
            return read_shape(stream)
    except (OSError, IdxInvalid):
        return ()
