"""Chunks as Kudu still remembers them: a table keeps its past for a time, and can be read as it was then.

Source of the semantics: Apache Kudu, "Transaction Semantics", `--tablet_history_max_age_sec` (7 days).
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from flumen.replay.audit.chunks import TABLES, is_damaged, whole_row
from flumen.replay.audit.seams import AuditedTables, ChunkTables
from flumen.replay.images.stored import Moment
from flumen.stores.errors import StoreRefused
from flumen.stores.kudu import Predicate

_FIRST_STEP_US = 1_000
_FURTHER = 1.5
_LONGEST_US = 7 * 86_400 * 1_000_000

Chunks = Mapping[int, bytes]
"""By `seq`."""


def last_present(
    tables: AuditedTables,
    table: str,
    image_id: str,
    seqs: Sequence[int],
    seen_us: int | None = None,
    are_right: Callable[[Chunks], bool] = lambda _: False,
) -> Chunks | None:
    """Return chunks, which are not there by now, as they were last; None where Kudu remembers them no more.

    Between a moment at which all were there, and now, the last microsecond is looked for at which they were. That
    moment is `seen_us`, or it is looked for back in time, in steps that grow. What `are_right` says so of is taken.

    Raises:
        StoreUnavailable: Kudu does not answer.
    """

    def at(moment_us: int) -> Chunks | None:
        wanted = [Predicate("id", "=", (image_id,)), Predicate("seq", ">=", (min(seqs),))]
        rows = Moment(tables, moment_us, 1).rows(table, ["seq", "data"], wanted)
        try:
            there = {row["seq"]: row["data"] for batch in rows for row in batch.to_pylist()}
        except StoreRefused:  # it is longer ago than the table's past
            return None
        return {seq: there[seq] for seq in seqs} if there.keys() >= set(seqs) else None

    absent = now = time.time_ns() // 1000
    present, step = seen_us or now, _FIRST_STEP_US
    while (found := at(present)) is None:
        absent = min(absent, present)
        present = now - step
        step = round(step * _FURTHER)
        if step > _LONGEST_US:
            return None
    while absent - present > 1 and not are_right(found):
        middle = (present + absent) // 2
        if (nearer := at(middle)) is None:
            absent = middle
        else:
            present, found = middle, nearer
    return found


def restore(tables: AuditedTables, chunks: ChunkTables, image_id: str) -> bool:
    """Put back the chunks of an image that its row names and that are not there, as far as Kudu remembers them.

    They are only put back where the image is then the one of its hash; return whether it is whole.
    """
    wanted = [Predicate("id", "=", (image_id,))]
    row = whole_row(tables, wanted)
    if row is None or not row[1] or row[2] is None:
        return False
    _, count, sha256 = row
    table = TABLES["chunks"]
    there = {
        piece["seq"]: piece["data"]
        for rows in tables.scan(table, ["seq", "data"], [*wanted, Predicate("seq", "<", (count,))])
        for piece in rows.to_pylist()
    }
    lost = [seq for seq in range(count) if seq not in there]

    def are_right(found: Chunks) -> bool:
        whole = {**there, **found}
        return hashlib.sha256(b"".join(whole[seq] for seq in range(count))).hexdigest() == sha256

    found = last_present(tables, table, image_id, lost, are_right=are_right) if lost else None
    if found is None or not are_right(found):
        return False
    put_in(chunks, table, image_id, found)
    if whole_row(tables, wanted) != row:  # it was deleted, or another one came: these are not of it
        keys = {"id": pa.array([image_id] * len(lost), pa.string()), "seq": pa.array(lost, pa.int32())}
        chunks.remove(table, pa.record_batch(keys))
        return False
    return not is_damaged(tables, image_id)


def put_in(chunks: ChunkTables, table: str, image_id: str, found: Chunks) -> None:
    """Insert chunks of an image where none are."""
    rows = {
        "id": pa.array([image_id] * len(found), pa.string()),
        "seq": pa.array(list(found), pa.int32()),
        "data": pa.array(list(found.values()), pa.binary()),
    }
    chunks.put_back(table, pa.record_batch(rows))
