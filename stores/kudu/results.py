"""Changing the answers that stand for images in Kudu, and looking at the ones that stood there before."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.stores.errors import StoreRefused
from flumen.stores.kudu.driver import Driver, Predicate, Write, missing_table, open_driver
from flumen.stores.kudu.encoding import chunk_parts
from flumen.stores.kudu.of_images import deletion
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.plain import plain_rows
from flumen.stores.kudu.rows import Part
from flumen.stores.kudu.schema import Table, chunks_table, predictions_table
from flumen.stores.kudu.superseded import kept_parts
from flumen.stores.kudu.writing import ensure_table, flush
from flumen.stores.results import ANSWER, DELIVERY, VIEW, Result


class KuduResults:
    """`flumen.replay.reclassify.results.ResultTable` in Kudu. It connects when it is made.

    An update names the columns of the answer alone, and makes no row: what was deleted stays deleted.

    Raises:
        StoreUnavailable: Kudu does not answer.
        StoreRefused: there is no table of images, or it lacks columns of deliveries or of answers.
    """

    def __init__(self, options: KuduOptions) -> None:
        self._driver: Driver = open_driver(options)
        try:
            self._images = _images(self._driver, f"{options.table_prefix}images")
            self._chunks = ensure_table(self._driver, chunks_table(options.table_prefix, "view_chunks"))
            self._predictions = ensure_table(self._driver, predictions_table(options.table_prefix))
        except BaseException:
            self._driver.close()
            raise

    def read(self, ids: Sequence[str]) -> dict[str, Result]:
        """Return delivery and answer of the images that are there, by id, as they are by now."""
        if not ids:
            return {}
        rows = self._driver.find(self._images.name, ["id", *DELIVERY, *ANSWER], list(ids))
        return {row["id"]: row for row in plain_rows(rows)}

    def keep(self, former: pa.RecordBatch) -> None:
        """Put answers that are about to be replaced into `predictions`; `former` has its columns."""
        if former.num_rows:
            flush(self._driver, list(kept_parts(self._predictions, former)))

    def write_views(self, views: Mapping[str, bytes]) -> None:
        """Write what a model saw of images, by id, where that is cut into chunks."""
        batch = Batch([ImageMessage(image_id, b"", 0) for image_id in views])
        self._stored(list(chunk_parts(self._chunks, batch, list(views.values()), ())), list(views))

    def remove_views(self, ids: Sequence[str]) -> None:
        """Delete every chunk of what models saw of these images."""
        flush(self._driver, deletion(self._driver, self._chunks, ids))

    def update(self, rows: pa.RecordBatch) -> None:
        """Change the columns that `rows` has beside `id`, of the images that are there.

        Raises:
            StoreRefused: Kudu does not take a value.
        """
        names = rows.schema.names
        typed = [rows.column(name).cast(self._images.arrow.field(name).type) for name in names]
        # A copy, since no array of a write may have an offset.
        whole = pa.RecordBatch.from_arrays(typed, names).take(pa.array(range(rows.num_rows), pa.int32()))
        ids = rows.column("id").to_pylist()
        self._stored([Part(Write(self._images.name, whole, "update"), range(rows.num_rows))], ids)

    def at(self, image_id: str, moment_us: int) -> Result | None:
        """Return delivery and whole answer of an image as they were at a time, by the servers' clocks."""
        wanted = ["id", *DELIVERY, *ANSWER, *VIEW]
        predicate = Predicate("id", "=", (image_id,))
        for token in self._driver.scan_tokens(self._images.name, wanted, [predicate], moment_us):
            for rows in self._driver.read_token(self._images.name, wanted, token):
                found: list[dict[str, Any]] = plain_rows(rows)
                if found:
                    return found[0]
        return None

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        self._driver.close()

    def _stored(self, parts: Sequence[Part], ids: Sequence[str]) -> None:
        for row, reason in flush(self._driver, parts).items():
            raise StoreRefused(f"Kudu refuses the answer for {ids[row][:80]!r}: {reason}")


def _images(driver: Driver, name: str) -> Table:
    found = driver.describe(name)
    if found is None:
        raise missing_table(name)
    lacking = [each for each in (*DELIVERY, *ANSWER, *VIEW) if each not in found.arrow.names]
    if lacking:
        raise StoreRefused(
            f"the Kudu table {name!r} has no columns {', '.join(lacking)}, which tell one delivery and its answer from "
            "another: the interceptors `envelope`, `decode` and `classify` write them. `flumen tables migrate` adds "
            "those that are newer than the table"
        )
    return found
