"""Writing a batch into Kudu: the images, the chunks of large ones, and what the model answered."""

import itertools
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from flumen.interceptor.batch import Batch, ColumnValues
from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import StoreClosed
from flumen.stores.kudu.driver import Driver, Predicate, Write, open_driver
from flumen.stores.kudu.lists import json_arrays
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.rows import Part, build
from flumen.stores.kudu.schema import CHUNK_BYTES, Table, chunks_table, images_table, predictions_table
from flumen.stores.kudu.writing import ensure_table, flush, prediction_columns
from flumen.stores.sink import Failure


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
            _get_ready(driver, (self._predictions, self._images))
        except BaseException:
            driver.close()
            raise
        self._driver = driver

    def write(self, batch: Batch) -> Sequence[Failure]:
        """Upsert every row. The chunks go first: an image's row never names chunks that are not there."""
        if self._driver is None:
            raise StoreClosed("the Kudu store is not connected; call connect() first")
        if not len(batch):
            return ()
        everything = range(len(batch))
        answered = _answered(batch)
        predictions, refused = build(
            self._predictions, prediction_columns(batch.take(answered)), len(answered)
        )
        images, failures = build(self._images, self._image_columns(batch), len(batch))
        reasons = {answered[row]: reason for row, reason in refused.items()} | failures
        reasons |= flush(self._driver, self._chunk_parts(batch, reasons))
        parts = [
            _good_part(self._predictions, predictions, answered, reasons),
            _good_part(self._images, images, everything, reasons),
        ]
        late = flush(self._driver, parts)
        if late:  # their chunks are there, and may have replaced those of a row that was there before
            self.remove(batch.take(sorted(late)))
        reasons |= late
        return [Failure(row, reason) for row, reason in sorted(reasons.items())]

    def remove(self, batch: Batch) -> None:
        """Delete the images and their answers, and then all their chunks: a row never names missing chunks."""
        if self._driver is None:
            raise StoreClosed("the Kudu store is not connected; call connect() first")
        answered = _answered(batch)
        predictions, _ = build(self._predictions, prediction_columns(batch.take(answered)), len(answered))
        images, refused = build(
            self._images, self._image_columns(batch), len(batch)
        )  # what it refuses is not there
        good_predictions = _good_part(self._predictions, predictions, answered, refused)
        good_images = _good_part(self._images, images, range(len(batch)), refused)
        flush(
            self._driver,
            [_deletion(good_images, self._images), _deletion(good_predictions, self._predictions)],
        )
        flush(self._driver, self._stored_chunks(batch, refused))

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        if self._driver is not None:
            driver, self._driver = self._driver, None
            driver.close()

    def _image_columns(self, batch: Batch) -> dict[str, ColumnValues]:
        lists = {name: json_arrays(batch.columns[name]) for name in self._lists if name in batch.columns}
        return _image_columns(batch) | lists

    def _chunk_parts(self, batch: Batch, failures: Container[int]) -> Iterator[Part]:
        contents = [image.content for image in batch.images]
        return itertools.chain(
            _chunk_parts(self._chunks, batch, contents, failures),
            _chunk_parts(self._view_chunks, batch, _views(batch), failures),
        )

    def _stored_chunks(self, batch: Batch, failures: Container[int]) -> Iterator[Part]:
        """Yield the deletion of every chunk of these images, also of those that earlier, larger ones left."""
        assert self._driver is not None
        for row, image in enumerate(batch.images):
            if row in failures:
                continue
            for table in (self._chunks, self._view_chunks):
                found = list(self._driver.scan(table.name, table.keys, [Predicate("id", "=", (image.id,))]))
                for keys in found:
                    yield Part(Write(table.name, keys, delete=True), [row] * keys.num_rows)


def _get_ready(driver: Driver, tables: Sequence[Table]) -> None:
    """Write no rows: it compiles what writes, and looks up the tables, before there is an image that waits."""
    driver.upsert([Write(table.name, build(table, {}, 0)[0]) for table in tables])


def _deletion(part: Part, table: Table) -> Part:
    return replace(part, write=Write(table.name, part.write.rows.select(table.keys), delete=True))


def _image_columns(batch: Batch) -> dict[str, ColumnValues]:
    contents = [image.content for image in batch.images]
    views = _views(batch)
    return {
        **batch.columns,
        "id": [image.id for image in batch.images],
        "image": _cells(contents),
        "chunks": [len(_chunk_starts(content)) for content in contents],
        "image_as_pgm": _cells(views),
        "view_chunks": [len(_chunk_starts(view)) for view in views],
    }


def _views(batch: Batch) -> Sequence[bytes | None]:
    """Return what the classifier saw of each image: nothing, where the chain does not decode."""
    return batch.columns.get("image_as_pgm", [None] * len(batch))  # type: ignore[return-value]


def _cells(values: Sequence[bytes | None]) -> list[bytes | None]:
    return [value if value is not None and len(value) <= CHUNK_BYTES else None for value in values]


def _answered(batch: Batch) -> Sequence[int]:
    """Return the rows that a model has answered: none, where the chain does not classify."""
    nobody = [None] * len(batch)
    models = batch.columns.get("model", nobody)
    versions = batch.columns.get("model_version", nobody)
    return [
        row
        for row, (model, version) in enumerate(zip(models, versions, strict=True))
        if model is not None and version is not None
    ]


def _chunk_starts(value: bytes | None) -> range:
    """Return where each chunk of a value starts; nothing for one that is one cell."""
    size = 0 if value is None else len(value)
    return range(0, size if size > CHUNK_BYTES else 0, CHUNK_BYTES)


def _chunk_parts(
    table: Table, batch: Batch, values: Sequence[bytes | None], failures: Container[int]
) -> Iterator[Part]:
    for row, (image, value) in enumerate(zip(batch.images, values, strict=True)):
        starts = _chunk_starts(value)
        if row in failures or value is None or not starts:
            continue
        chunks = pa.RecordBatch.from_arrays(
            [
                pa.array([image.id] * len(starts), pa.string()),
                pa.array(range(len(starts)), pa.int32()),
                pa.array([value[start : start + CHUNK_BYTES] for start in starts], pa.binary()),
            ],
            schema=table.arrow,
        )
        yield Part(Write(table.name, chunks), [row] * len(starts))


def _good_part(
    table: Table, rows: pa.RecordBatch, positions: Sequence[int], failures: Container[int]
) -> Part:
    """Return the rows whose position in the batch has not failed."""
    good = [row for row, position in enumerate(positions) if position not in failures]
    if len(good) < rows.num_rows:
        rows = rows.take(pa.array(good, pa.int32()))
    return Part(Write(table.name, rows), [positions[row] for row in good])
