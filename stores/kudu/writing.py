"""What every writer into Kudu does: make sure of a table, send rows in flushes, put answers into columns."""

import logging
from collections.abc import Iterable

import numpy as np

from flumen.interceptor.batch import Batch, ColumnValues
from flumen.stores.kudu.driver import Driver
from flumen.stores.kudu.rows import Part, flushes
from flumen.stores.kudu.schema import Table, as_written, check

log = logging.getLogger(__name__)


def ensure_table(driver: Driver, table: Table) -> Table:
    """Create a table that is missing, and check it in any case. Returns it as rows are written into it.

    Raises:
        SchemaMismatch: it has other columns.
    """
    found = driver.describe(table.name)
    if found is None:
        driver.create(table)
        found = driver.describe(table.name)
    if found is None:
        return table
    check(table, found)
    written = as_written(table, found)
    if written.others:
        names = ", ".join(column.name for column in written.others)
        log.warning(
            "the Kudu table %s has columns that this worker does not fill; they are null in what it stores: %s",
            table.name,
            names,
        )
    return written


def flush(driver: Driver, parts: Iterable[Part]) -> dict[int, str]:
    """Send parts in order; return the reason for each position in the batch whose row was not stored.

    It was refused for good, or was to be inserted and is there: `flumen.stores.kudu.driver.Driver.apply`.
    """
    reasons: dict[int, str] = {}
    for group in flushes(parts):
        refused = driver.apply([part.write for part in group])
        for part, rows in zip(group, refused, strict=True):
            reasons |= {part.positions[row]: reason for row, reason in rows.items()}
    return reasons


def answer_columns(batch: Batch) -> dict[str, ColumnValues]:
    """Return a batch's columns with ids and probabilities as cells: little-endian float32, one after another."""
    columns = {**batch.columns, "id": [image.id for image in batch.images]}
    probabilities = batch.columns.get("probabilities")
    if isinstance(probabilities, np.ndarray):
        cells = np.ascontiguousarray(probabilities, "<f4")
        columns["probabilities"] = [row.tobytes() for row in cells]
    elif probabilities is not None:
        columns["probabilities"] = [np.asarray(row, "<f4").tobytes() for row in probabilities]
    return columns
