"""Writing a batch into Kudu: the images with what the model answered, and the chunks of large ones."""

import itertools
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from flumen.interceptor.batch import Batch, ColumnValues
from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import StoreClosed
from flumen.stores.kudu.driver import ROW_IS_THERE, Driver, Write, open_driver
from flumen.stores.kudu.encoding import chunk_parts, image_rows, long_answers, views
from flumen.stores.kudu.of_images import deletion
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.rows import Part, build
from flumen.stores.kudu.schema import Table, chunks_table, images_table, predictions_table
from flumen.stores.kudu.superseded import keep_superseded
from flumen.stores.kudu.writing import ensure_table, flush
from flumen.stores.sink import Failure

_SAMPLE_ROWS = 500
_SAMPLE: dict[str, ColumnValues] = {
    "string": ["sample"] * _SAMPLE_ROWS,
    "binary": [b"sample"] * _SAMPLE_ROWS,
    "bool": [True] * _SAMPLE_ROWS,
    "int32": np.ones(_SAMPLE_ROWS, np.int32),
    "int64": np.ones(_SAMPLE_ROWS, np.int64),
    "float": np.ones(_SAMPLE_ROWS, np.float32),
    "double": np.ones(_SAMPLE_ROWS, np.float64),
    "unixtime_micros": np.ones(_SAMPLE_ROWS, np.int64),
}
"""Values by the type of a column."""


class KuduSink:
    """`flumen.stores.sink.Sink` for Kudu. `columns` are what the interceptors declare, in order."""

    def __init__(self, options: KuduOptions, columns: Sequence[Column]) -> None:
        self._options = options
        self._columns = tuple(columns)
        self._images = images_table(options.table_prefix, columns)
        self._chunks = chunks_table(options.table_prefix)
        self._view_chunks = chunks_table(options.table_prefix, "view_chunks")
        self._predictions = predictions_table(options.table_prefix)
        self._lists = tuple(column.name for column in columns if column.kind is Kind.STRINGS)
        self._driver: Driver | None = None

    @property
    def name(self) -> str:
        """The stage named in metrics and dead letters."""
        return "kudu"

    def connect(self) -> None:
        """Open the driver; create the tables that are missing, check those that are there."""
        if self._driver is not None:
            return
        driver = open_driver(self._options)
        try:
            for table in (self._chunks, self._view_chunks):
                ensure_table(driver, table)
            self._images = ensure_table(driver, images_table(self._options.table_prefix, self._columns))
            self._predictions = ensure_table(driver, predictions_table(self._options.table_prefix))
            _get_ready(driver, self._images)
        except BaseException:
            driver.close()
            raise
        self._driver = driver

    def write(self, batch: Batch) -> Sequence[Failure]:
        """Store every row. The chunks go first: an image's row never names chunks that are not there.

        So do answers of other models to images that are there already: nothing that was answered is lost.
        """
        if self._driver is None:
            raise StoreClosed("the Kudu store is not connected; call connect() first")
        if not len(batch):
            return ()
        images, failures = image_rows(self._images, self._lists, batch)
        reasons = long_answers(self._predictions, batch) | failures
        reasons |= flush(self._driver, self._chunk_parts(batch, reasons))
        late = self._store(_good_part(self._images, images, range(len(batch)), reasons))
        if late:  # their chunks are there, and may have replaced those of a row that was there before
            self.remove(batch.take(sorted(late)))
        reasons |= late
        return [Failure(row, reason) for row, reason in sorted(reasons.items())]

    def remove(self, batch: Batch) -> None:
        """Delete the images, every answer for them, and then all their chunks: a row never names missing chunks."""
        if self._driver is None:
            raise StoreClosed("the Kudu store is not connected; call connect() first")
        ids = [image.id for image in batch.images]
        keys, refused = build(
            replace(self._images, columns=self._images.columns[:1], others=()), {"id": ids}, len(ids)
        )
        good = _good_part(
            self._images, keys, range(len(ids)), refused
        )  # no image has an id that Kudu does not take
        flush(self._driver, [replace(good, write=replace(good.write, change="delete"))])
        stored = good.write.rows.column("id").to_pylist()
        for table in (
            self._predictions,
            self._chunks,
            self._view_chunks,
        ):  # also what earlier ones of their ids left
            flush(self._driver, deletion(self._driver, table, stored))

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        if self._driver is not None:
            driver, self._driver = self._driver, None
            driver.close()

    def _chunk_parts(self, batch: Batch, failures: Container[int]) -> Iterator[Part]:
        contents = [image.content for image in batch.images]
        return itertools.chain(
            chunk_parts(self._chunks, batch, contents, failures),
            chunk_parts(self._view_chunks, batch, views(batch), failures),
        )

    def _store(self, images: Part) -> dict[int, str]:
        """Store the rows, and return the reason for each position whose row was refused for good.

        Most images are new, so that inserting them is all there is to do; only what is there already is looked at.
        """
        assert self._driver is not None
        reasons = flush(self._driver, [replace(images, write=replace(images.write, change="insert"))])
        refused = {row: reason for row, reason in reasons.items() if not reason.startswith(ROW_IS_THERE)}
        if len(refused) == len(reasons):
            return refused
        fresh = {position for position in images.positions if position not in reasons}
        there = _good_part(self._images, images.write.rows, images.positions, fresh | refused.keys())
        keep_superseded(self._driver, self._images, self._predictions, there.write.rows)
        return refused | flush(self._driver, [there])


def _get_ready(driver: Driver, images: Table) -> None:
    """Do once all that a first batch would have to wait for, before there is an image that waits."""
    rows, _ = build(images, {column.name: _SAMPLE[column.type] for column in images.columns}, _SAMPLE_ROWS)
    driver.get_ready(Write(images.name, rows, "insert"))


def _good_part(
    table: Table, rows: pa.RecordBatch, positions: Sequence[int], failures: Container[int]
) -> Part:
    """Return the rows whose position in the batch has not failed."""
    good = [row for row, position in enumerate(positions) if position not in failures]
    if len(good) < rows.num_rows:
        rows = rows.take(pa.array(good, pa.int32()))
    return Part(Write(table.name, rows), [positions[row] for row in good])
