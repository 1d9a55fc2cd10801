"""Images in pieces, of which some are not there."""

from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa

from flumen.replay.audit.findings import Finding
from flumen.replay.images.stored import Moment

_TABLES = {"chunks": "image_chunks", "view_chunks": "view_chunks"}


def incomplete(moment: Moment, rows: pa.RecordBatch, counts: Sequence[str]) -> Iterator[Finding]:
    """Yield the images of these rows of which pieces are missing at that moment.

    Args:
        moment: the time at which the rows were read.
        rows: with `id`, and the columns `counts`.
        counts: which of `chunks` and `view_chunks` the table has.
    """
    ids = rows.column("id").to_pylist()
    for name in counts:
        wanted = {
            image_id: count
            for image_id, count in zip(ids, rows.column(name).to_pylist(), strict=True)
            if count
        }
        if not wanted:
            continue
        there: Counter[str] = Counter()
        for pieces in moment.rows_of(_TABLES[name], ["id", "seq"], list(wanted)):
            # An image that shrank leaves pieces behind its last one.
            there.update(
                image_id
                for image_id, seq in zip(*(column.to_pylist() for column in pieces.columns), strict=True)
                if seq < wanted[image_id]
            )
        for image_id, count in wanted.items():
            if there[image_id] < count:
                yield Finding(
                    "incomplete", image_id, (f"{there[image_id]} of {count} {name.replace('_', ' ')}",)
                )
