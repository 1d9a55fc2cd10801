"""Jobs that put stored images to a model: which parts of them are done, and the answers they make."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from flumen.stores.errors import StoreRefused
from flumen.stores.kudu.driver import ROW_IS_THERE, Change, Driver, Predicate, Write, open_driver
from flumen.stores.kudu.of_images import deletion
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.rows import Part, build
from flumen.stores.kudu.schema import Table, TableColumn, predictions_table
from flumen.stores.kudu.writing import ensure_table, flush

Plain = str | int | float | bytes | None

_TYPES = {
    "schema": "int32",
    "state": "string",
    "claimed_by": "string",
    "beat": "int64",
    "lease_s": "double",
    "token": "binary",
    "parts_id": "string",
    "parts": "int32",
    "snapshot_us": "int64",
    "images": "int64",
    "answered": "int64",
    "same": "int64",
    "left_out": "string",
    "not_shown": "string",
    "model": "string",
    "model_version": "int32",
    "choice": "string",
    "written_into": "string",
    "actor": "string",
    "reason": "string",
}


def reclassifications_table(prefix: str) -> Table:
    """Return the table `reclassifications`: a row for each job, each part of one, and each attempt at a part."""
    keys = (("id", "string"), ("part", "int32"), ("attempt", "int32"))
    return Table(
        f"{prefix}reclassifications",
        (
            *(TableColumn(name, kind, nullable=False, key=True) for name, kind in keys),
            *(TableColumn(name, kind) for name, kind in _TYPES.items()),
        ),
    )


class KuduReclassifications:
    """`flumen.replay.reclassify.parts.PartTable` in Kudu. It connects, and makes its tables, when it is made.

    Raises:
        StoreUnavailable: Kudu does not answer.
        SchemaMismatch: a table of these names has other columns.
    """

    def __init__(self, options: KuduOptions) -> None:
        self._table = reclassifications_table(options.table_prefix)
        self._driver: Driver = open_driver(options)
        try:
            ensure_table(self._driver, self._table)
            self._predictions = ensure_table(self._driver, predictions_table(options.table_prefix))
        except BaseException:
            self._driver.close()
            raise

    def insert(self, row: Mapping[str, Plain]) -> bool:
        """Add a row; return False, and change nothing, where one of its key is there."""
        return self._write(row, "insert")

    def update(self, row: Mapping[str, Plain]) -> None:
        """Change the columns that are given, beside the key."""
        self._write(row, "upsert")

    def rows(self, job_id: str, columns: Sequence[str], part: int | None = None) -> list[Mapping[str, Plain]]:
        """Return the key and these columns of the rows of an id; of one part, if it is given."""
        wanted = list(dict.fromkeys([*self._table.keys, *columns]))
        predicates = [Predicate("id", "=", (job_id,))]
        predicates += [] if part is None else [Predicate("part", "=", (part,))]
        found = self._driver.scan(self._table.name, wanted, predicates)
        return [row for batch in found for row in batch.to_pylist()]

    def write_answers(self, answers: pa.RecordBatch) -> None:
        """Upsert rows of `predictions`; `answers` has its columns.

        Raises:
            StoreRefused: a row is refused for good.
        """
        columns = [answers.column(field.name).cast(field.type) for field in self._predictions.arrow]
        rows = pa.RecordBatch.from_arrays(columns, schema=self._predictions.arrow)
        # A copy, since no array of a write may have an offset.
        rows = rows.take(pa.array(range(rows.num_rows), pa.int32()))
        refused = flush(self._driver, [Part(Write(self._predictions.name, rows), range(rows.num_rows))])
        for row, reason in refused.items():
            raise StoreRefused(f"Kudu refuses the answer for {rows.column('id')[row]}: {reason}")

    def remove_answers(self, ids: Sequence[str]) -> None:
        """Delete every row of these images from `predictions`."""
        flush(self._driver, deletion(self._driver, self._predictions, ids))

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        self._driver.close()

    def _write(self, row: Mapping[str, Plain], change: Change) -> bool:
        given = replace(self._table, columns=tuple(c for c in self._table.columns if c.name in row))
        rows, failures = build(given, {name: [value] for name, value in row.items()}, 1)
        refused = failures or self._driver.apply([Write(self._table.name, rows, change)])[0]
        if not refused:
            return True
        if refused[0].startswith(ROW_IS_THERE):
            return False
        raise StoreRefused(f"a row of {self._table.name} cannot be written: {refused[0]}")
