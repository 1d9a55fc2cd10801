"""The seam between the live path and a store: what a store does with a batch, and what a failed item looks like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flumen.interceptor.batch import Batch


@dataclass(frozen=True, slots=True)
class Failure:
    """One row of a batch that a store refused for good: its position in the batch, and the store's reason."""

    row: int
    reason: str


class Sink(Protocol):
    """A store that batches are written to. One thread at a time uses it."""

    @property
    def name(self) -> str:
        """The store's name, such as `kudu`: the stage named in metrics and dead letters."""

    def connect(self) -> None:
        """Open the store; create what is not there, check what is.

        Raises:
            StoreUnavailable: the server does not answer.
            SchemaMismatch: a table or index exists with other columns.
            DriverMissing: the chosen driver is not installed.
        """

    def write(self, batch: Batch) -> Sequence[Failure]:
        """Upsert every row by image id, and return the rows refused for good; the others are stored.

        Written twice is stored once. An empty batch is no request.

        Raises:
            StoreUnavailable: nothing is known about any row; write the batch again.
            StoreRefused, SchemaMismatch: no row is to blame: the table or index was altered or is gone.
            StoreClosed: not connected.
        """

    def remove(self, batch: Batch) -> None:
        """Take the images of a batch out, where they are there: a store refused them for good, this one or another.

        Raises:
            StoreUnavailable: nothing is known about any row; remove the batch again.
            StoreRefused: no row is to blame: the table or index was altered or is gone.
            StoreClosed: not connected.
        """

    def close(self) -> None:
        """Release connections. A second call does nothing."""


class AnswerSink(Protocol):
    """Where a challenger's answers go, for images that are stored already. One thread at a time uses it.

    A batch has the columns `id`, `model`, `model_version`, `prediction`, `confidence`, `probabilities` (float32,
    n x labels), `classified_at`, and `disagreement`: whether the champion answered otherwise.
    """

    @property
    def name(self) -> str:
        """The store's name, such as `kudu`."""

    def connect(self) -> None:
        """Open the store.

        Raises:
            StoreError: it does not answer, or is not the one that is expected.
        """

    def write(self, batch: Batch) -> None:
        """Add the answers to what is stored; it never makes an image that is not there, or takes anything away.

        Raises:
            StoreError: nothing is known about any row.
        """

    def remove(self, ids: Sequence[str]) -> None:
        """Take out every answer for these images: they were deleted. Raises as `write`."""

    def close(self) -> None:
        """Release connections. A second call does nothing."""


class LabelSink(Protocol):
    """Changes what is known of the class of images that are stored. One thread at a time uses it."""

    @property
    def name(self) -> str:
        """The store's name, such as `kudu`."""

    def connect(self) -> None:
        """Open the store.

        Raises:
            StoreError: it does not answer, or is not the one that is expected.
        """

    def set_labels(self, labels: Mapping[str, int | None]) -> None:
        """Give images these known labels, by id, or none, and what is computed from them; an image not there stays so.

        What a sink writes at the same time is left whole: an image has either this label, or all that the sink wrote.

        Raises:
            StoreUnavailable: nothing is known about any image; set them again.
            StoreRefused: no image is to blame: the table or index was altered or is gone.
        """

    def close(self) -> None:
        """Release connections. A second call does nothing."""


class Reader(Protocol):
    """Looking back at what a store holds, row by row. Stores that can do more say so in their own reader."""

    def count(self) -> int:
        """How many images are visible."""

    def get(self, image_id: str) -> Mapping[str, Any] | None:
        """One image's row by column name, or None. A BINARY value is bytes, a TIMESTAMP an int of microseconds."""

    def close(self) -> None:
        """Release connections."""
