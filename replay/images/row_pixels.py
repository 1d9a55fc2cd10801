"""The pixels that belong to rows of the table `images`: what was seen of them, or the original, decoded."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flumen.interceptor import Preprocess
from flumen.interceptor.decoding import raster_shape
from flumen.models.datasets.pictures import Pictures
from flumen.models.datasets.source import UNREADABLE, Skip
from flumen.replay.images.seen import PictureOf, fitting, made_alike, pixels_of
from flumen.replay.images.stored import READ_BYTES, Moment

MOST_ROWS = 8192


@dataclass(frozen=True, slots=True)
class RowPixels:
    """Reads the pixels that belong to rows, at the size that `preprocess` says.

    With `picture_of`, rows have the columns of `flumen.replay.images.seen.VIEW`, and what was seen is taken where it
    was made as is wanted. Without it all are decoded by `pictures`.
    """

    moment: Moment
    preprocess: Preprocess
    pictures: Pictures
    picture_of: PictureOf | None

    def pieces(self, rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Yield these rows, so many at once as their pixels allow."""
        size = int(np.prod(raster_shape(self.preprocess)))
        step = max(1, min(MOST_ROWS, READ_BYTES // size))
        for start in range(0, rows.num_rows, step):
            yield rows.slice(start, step)

    def of(self, rows: pa.RecordBatch) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[Skip]]:
        """Return the pixels of the rows that have some, which those are, and why the others have none.

        Pixels are uint8, k x height x width [x 3], in the order of the rows.
        """
        has_view = np.zeros(rows.num_rows, np.bool_)
        if self.picture_of is not None:
            has_view = made_alike(rows, self.preprocess, self.picture_of)
            rows = self._with_cut_views(rows, has_view)
            has_view &= fitting(rows.column("image_as_pgm"), self.preprocess)
            if has_view.all():
                return pixels_of(rows.column("image_as_pgm"), self.preprocess), has_view, []
        kept = has_view.copy()
        pixels = np.empty((rows.num_rows, *raster_shape(self.preprocess)), np.uint8)
        if has_view.any():
            seen = rows.filter(pa.array(has_view)).column("image_as_pgm")
            pixels[has_view] = pixels_of(seen, self.preprocess)
        places = {
            image_id: row for row, image_id in enumerate(rows.column("id").to_pylist()) if not has_view[row]
        }
        skipped: list[Skip] = []
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
        return (pixels if kept.all() else pixels[kept]), kept, skipped

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
