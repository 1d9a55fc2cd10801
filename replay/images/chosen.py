"""Rows of a scan that meet a condition: put to it many at once, as Kudu's own batches may be small."""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from flumen.replay.images.stored import READ_BYTES
from flumen.replay.sql.where import Condition
from flumen.stores.kudu import TokenRows

CONDITION_ROWS = 8192
"""Rows that a condition is put to at once: to plan it takes as long as to compute it for a thousand."""


def chosen_rows(reading: Iterable[TokenRows], condition: Condition | None) -> Iterator[TokenRows]:
    """Yield the rows that meet the condition, and the ends of tokens: each behind all rows of its token.

    Rows stand under the number of a token that was read at the time; only at its end does it say which.

    Raises:
        BadQuery: the condition cannot be computed.
    """
    waiting: list[pa.RecordBatch] = []
    for given in reading:
        if given.rows is not None:
            waiting.append(given.rows)
        if given.rows is None or _is_much(waiting):
            kept = condition.kept(waiting) if condition is not None and waiting else waiting
            yield from (TokenRows(given.token, rows) for rows in kept)
            waiting = []
        if given.rows is None:
            yield given


def _is_much(batches: Sequence[pa.RecordBatch]) -> bool:
    rows: int = sum(batch.num_rows for batch in batches)
    size: int = sum(batch.nbytes for batch in batches)
    return rows >= CONDITION_ROWS or size >= READ_BYTES
