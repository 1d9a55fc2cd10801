"""The values that travel through the interceptors: an image as it arrived, a micro-batch in columns, a reject."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.errors import Unclassifiable

ColumnValues = NDArray[Any] | list[Any]
"""One value a row, first axis = rows. In a list `None` is null; a numpy array has no nulls."""


@dataclass(frozen=True, slots=True)
class ImageMessage:
    """One image as it arrived.

    `content` is the image's bytes as they were published; `arrived_at` is microseconds since the epoch (UTC).
    `event_time` likewise: when its publisher says it came about.
    `partition` and `offset` say where in its topic it stood, for an image that came from one.
    `defect` is set where the message around the image was malformed, and says why, and behind a semicolon what to do:
    such an image is rejected with that reason.
    `origin` is the message it came in, carried along unread, so that a reject can be traced back to it.
    """

    id: str
    content: bytes
    arrived_at: int
    source: str = ""
    name: str = ""
    known_label: int | None = None
    event_time: int | None = None
    partition: int | None = field(default=None, compare=False)
    offset: int | None = field(default=None, compare=False)
    defect: str | None = None
    origin: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Reject:
    """An image that was refused, the stage (interceptor or store) that refused it, and why."""

    image: ImageMessage
    stage: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch in columns: row i of every column belongs to `images[i]`.

    Declared columns (`flumen.interceptor.columns.Column`) are stored; one that is not there is null in every row, and
    costs nothing. Others only serve later interceptors:
    `pixels` (uint8, n x height x width [x 3]), `tensor` (float32, the classifier's input shape) and
    `probabilities` (float32, n x labels).
    """

    images: Sequence[ImageMessage]
    columns: Mapping[str, ColumnValues] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def with_columns(self, **columns: ColumnValues) -> "Batch":
        """Return this batch with more columns, each `len(self)` values long.

        Raises:
            ValueError: a column has another length.
        """
        for name, values in columns.items():
            if len(values) != len(self.images):
                raise ValueError(f"column {name!r} has {len(values)} values for {len(self.images)} images")
        return replace(self, columns={**self.columns, **columns})

    def without(self, *names: str) -> "Batch":
        """Return this batch less these columns: what no later interceptor needs need not be kept in memory."""
        return replace(
            self, columns={name: values for name, values in self.columns.items() if name not in names}
        )

    def take(self, rows: Sequence[int]) -> "Batch":
        """Return the rows at these positions, in this order."""
        if len(rows) == len(self.images) and list(rows) == list(range(len(rows))):
            return self
        return Batch(
            images=[self.images[row] for row in rows],
            columns={name: _take(values, rows) for name, values in self.columns.items()},
        )


def plain(values: ColumnValues) -> list[Any]:
    """Return a column's values as a list of Python's own types."""
    return values.tolist() if isinstance(values, np.ndarray) else values


def nulls_in(values: Sequence[Any]) -> int:
    """Return how many of a list's values are null."""
    try:
        return values.count(None)
    except ValueError:  # an array among them does not say whether it equals None
        return sum(value is None for value in values)


def _take(values: ColumnValues, rows: Sequence[int]) -> ColumnValues:
    if isinstance(values, np.ndarray):
        return values[np.asarray(rows, dtype=np.intp)]
    return [values[row] for row in rows]


def joined(batches: Sequence[Batch]) -> Batch:
    """Return one or more batches as one, in order; a column that one of them lacks is null in its rows."""
    if len(batches) == 1:
        return batches[0]
    columns: dict[str, ColumnValues] = {}
    for name in dict.fromkeys(name for batch in batches for name in batch.columns):
        pieces = [batch.columns.get(name, [None] * len(batch)) for batch in batches if len(batch)]
        if not pieces:
            columns[name] = batches[0].columns.get(name, [])
            continue
        arrays = [piece for piece in pieces if isinstance(piece, np.ndarray)]
        if len(arrays) == len(pieces):
            columns[name] = np.concatenate(arrays)
        else:  # a column with nulls in one of them
            columns[name] = [value for piece in pieces for value in plain(piece)]
    return Batch([image for batch in batches for image in batch.images], columns)


@dataclass(frozen=True, slots=True)
class Intercepted:
    """What came out of a micro-batch of n images: `len(oks) + len(errs) == n`."""

    oks: Batch
    errs: Sequence[Reject]


def partition(batch: Batch, stage: str, errors: Mapping[int, Unclassifiable]) -> Intercepted:
    """Split a batch: rows named in `errors` become rejects of `stage`, the others go on."""
    if not errors:
        return Intercepted(batch, ())
    good = [row for row in range(len(batch)) if row not in errors]
    rejects = [Reject(batch.images[row], stage, error) for row, error in sorted(errors.items())]
    return Intercepted(batch.take(good), rejects)
