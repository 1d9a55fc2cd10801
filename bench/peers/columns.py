"""What the peers write of an image, and which of it the index holds. All that writes follows from these lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
"""One image: a value a column; times in microseconds since 1970. One that is not there, or None, is null."""

CHUNK_BYTES = 61_440
"""A larger image is in pieces of this size in a table of its own: Kudu takes no larger cell."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A column; `kind` is the end of the name of the method of Kudu's `PartialRow` that sets it, as in `addString`."""

    name: str
    kind: str
    is_time: bool = False


STORED = (Cell("image", "Binary"), Cell("probabilities", "Binary"))
"""What stands in an image's row beside the columns of interceptors."""

IMAGE = (
    *(Cell(name, "String") for name in ("id", "source", "name", "sha256", "format", "label")),
    *(Cell(name, "Int") for name in ("knownlabel", "width", "height")),
    Cell("size_bytes", "Long"),
    Cell("ingested_at", "Long", is_time=True),
    Cell("image_as_pgm", "Binary"),
    Cell("model", "String"),
    Cell("model_version", "Int"),
    Cell("prediction", "Int"),
    Cell("confidence", "Float"),
    Cell("classified_at", "Long", is_time=True),
    *STORED,
)
"""What an afternoon's work says of an image: 19 columns, and with `COUNTS` 21."""

COUNTS = (Cell("chunks", "Int"), Cell("view_chunks", "Int"))


def stored(image: Sequence[Cell] = IMAGE) -> Sequence[Cell]:
    """Return what the table of images holds of each."""
    return (*image, *COUNTS)


def indexed(image: Sequence[Cell] = IMAGE, beside: Sequence[str] = ()) -> Sequence[Cell]:
    """Return what the index holds of an image: all but bytes, and what is not searched."""
    return [cell for cell in image if cell.kind != "Binary" and cell.name not in beside]
