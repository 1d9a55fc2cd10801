"""From rows of the table `images` to batches of a data set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flumen.interceptor.decoding import raster_shape
from flumen.models.datasets.files import Decoding
from flumen.models.datasets.pictures import Pictures
from flumen.models.datasets.source import (
    EXAMPLES,
    NO_LABEL,
    OTHER_LABEL,
    UNREADABLE,
    ImageBatch,
    Skip,
    outside_classes,
)
from flumen.replay.images.seen import PictureOf, fitting, made_alike, pixels_of
from flumen.replay.images.stored import READ_BYTES, Moment

if TYPE_CHECKING:
    from flumen.replay.images.kudu_images import Selection

MOST_ROWS = 8192


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads the pixels that belong to rows."""

    moment: Moment
    selection: "Selection"
    decoding: Decoding
    pictures: Pictures
    picture_of: PictureOf | None

    def nothing(self, position: str, skipped: Sequence[Skip] = ()) -> ImageBatch:
        """Return a batch of no images, with what was left out."""
        pixels = np.empty((0, *raster_shape(self.decoding.preprocess)), np.uint8)
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
        size = int(np.prod(raster_shape(self.decoding.preprocess)))
        step = max(1, min(MOST_ROWS, READ_BYTES // size))
        for start in range(0, rows.num_rows, step):
            yield self._batch(rows.slice(start, step), position)

    def _batch(self, rows: pa.RecordBatch, position: str) -> ImageBatch:
        skipped: list[Skip] = []
        labels = rows.column(self.selection.label).to_numpy(zero_copy_only=False).astype(np.int64)
        wrong = outside_classes(labels, self.selection.labels)
        if wrong.any():
            ids = rows.column("id").to_pylist()
            skipped = [Skip(OTHER_LABEL, ids[row], str(labels[row])) for row in np.flatnonzero(wrong)]
            rows, labels = rows.filter(pa.array(~wrong)), labels[~wrong]
        pixels, kept = self._pixels(rows, skipped)
        if not kept.all():
            rows, labels = rows.filter(pa.array(kept)), labels[kept]
        ids = rows.column("id").to_pylist()
        return ImageBatch(ids, self._groups(rows, ids), pixels, labels.astype(np.int32), position, skipped)

    def _groups(self, rows: pa.RecordBatch, ids: Sequence[str]) -> Sequence[str]:
        if self.selection.group is None:
            return ids
        groups = rows.column(self.selection.group).cast(pa.string()).to_pylist()
        return [image_id if group is None else group for group, image_id in zip(groups, ids, strict=True)]

    def _pixels(
        self, rows: pa.RecordBatch, skipped: list[Skip]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return the pixels of the rows that have some, and which those are; `skipped` takes the others."""
        preprocess = self.decoding.preprocess
        has_view = np.zeros(rows.num_rows, np.bool_)
        if self.picture_of is not None:
            has_view = made_alike(rows, preprocess, self.picture_of)
            rows = self._with_cut_views(rows, has_view)
            has_view &= fitting(rows.column("image_as_pgm"), preprocess)
            if has_view.all():
                return pixels_of(rows.column("image_as_pgm"), preprocess), has_view
        kept = has_view.copy()
        pixels = np.empty((rows.num_rows, *raster_shape(preprocess)), np.uint8)
        if has_view.any():
            pixels[has_view] = pixels_of(rows.filter(pa.array(has_view)).column("image_as_pgm"), preprocess)
        places = {
            image_id: row for row, image_id in enumerate(rows.column("id").to_pylist()) if not has_view[row]
        }
        for contents in self.moment.originals(rows.filter(pa.array(~has_view))):
            skipped += [
                Skip(UNREADABLE, image_id, content)
                for image_id, content in contents.items()
                if isinstance(content, str)
            ]
            read = {name: content for name, content in contents.items() if isinstance(content, bytes)}
            decoded, whole, undecoded = self.pictures.decode(list(read), list(read.values()))
            skipped += undecoded
            found = np.array([places[image_id] for image_id in read], np.int64)[whole]
            pixels[found] = decoded
            kept[found] = True
        return (pixels if kept.all() else pixels[kept]), kept

    def _with_cut_views(self, rows: pa.RecordBatch, has_view: NDArray[np.bool_]) -> pa.RecordBatch:
        """Put views that are cut into chunks in their places."""
        counts = rows.column("view_chunks").to_numpy(zero_copy_only=False)
        cut = np.flatnonzero(has_view & (counts > 0)).tolist()
        if not cut:
            return rows
        ids = rows.column("id").to_pylist()
        restored = self.moment.restored("view_chunks", {ids[row]: int(counts[row]) for row in cut})
        views = rows.column("image_as_pgm").to_pylist()
        for row in cut:
            view = restored[ids[row]]
            views[row] = view if isinstance(view, bytes) else None
        place = rows.schema.names.index("image_as_pgm")
        return rows.set_column(place, "image_as_pgm", pa.array(views, pa.binary()))
