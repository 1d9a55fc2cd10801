"""From rows of the table `images` to batches of a data set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from flumen.interceptor.decoding import raster_shape
from flumen.models.datasets.source import (
    EXAMPLES,
    NO_LABEL,
    OTHER_LABEL,
    ImageBatch,
    Skip,
    outside_classes,
)
from flumen.replay.images.row_pixels import RowPixels

if TYPE_CHECKING:
    from flumen.replay.images.kudu_images import Selection


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads the pixels that belong to rows."""

    selection: "Selection"
    pixels: RowPixels

    def nothing(self, position: str, skipped: Sequence[Skip] = ()) -> ImageBatch:
        """Return a batch of no images, with what was left out."""
        pixels = np.empty((0, *raster_shape(self.pixels.preprocess)), np.uint8)
        return ImageBatch([], [], pixels, np.empty(0, np.int32), position, skipped)

    def unlabelled(self, rows: pa.RecordBatch, position: str) -> ImageBatch:
        """Return a batch of no images, of which all these rows are left out."""
        ids = rows.column("id").slice(0, EXAMPLES).to_pylist()
        skipped = [Skip(NO_LABEL, image_id) for image_id in ids]
        if rows.num_rows > len(skipped):
            skipped[-1] = Skip(NO_LABEL, ids[-1], more=rows.num_rows - len(skipped))
        return self.nothing(position, skipped)

    def batches(self, rows: pa.RecordBatch, position: str) -> Iterator[ImageBatch]:
        """Yield the images of these rows, and what is left out of them; so many at once as their pixels allow."""
        for piece in self.pixels.pieces(rows):
            yield self._batch(piece, position)

    def _batch(self, rows: pa.RecordBatch, position: str) -> ImageBatch:
        skipped: list[Skip] = []
        labels = rows.column(self.selection.label).to_numpy(zero_copy_only=False).astype(np.int64)
        wrong = outside_classes(labels, self.selection.labels)
        if wrong.any():
            ids = rows.column("id").to_pylist()
            skipped = [Skip(OTHER_LABEL, ids[row], str(labels[row])) for row in np.flatnonzero(wrong)]
            rows, labels = rows.filter(pa.array(~wrong)), labels[~wrong]
        pixels, kept, without = self.pixels.of(rows)
        skipped += without
        if not kept.all():
            rows, labels = rows.filter(pa.array(kept)), labels[kept]
        ids = rows.column("id").to_pylist()
        return ImageBatch(ids, self._groups(rows, ids), pixels, labels.astype(np.int32), position, skipped)

    def _groups(self, rows: pa.RecordBatch, ids: Sequence[str]) -> Sequence[str]:
        if self.selection.group is None:
            return ids
        groups = rows.column(self.selection.group).cast(pa.string()).to_pylist()
        return [image_id if group is None else group for group, image_id in zip(groups, ids, strict=True)]
