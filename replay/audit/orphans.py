"""Taking out chunks that no row names, beside workers that write chunks before the row that names them.

Kudu cannot compare and set: a worker may write a chunk anew at the moment at which it is deleted. So the rows are
looked at once more when no write can be on its way any more that had been under way then. Where a row names what was
deleted, Kudu is asked for what it was, in the moment before. docs/audit.md has the whole argument.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from flumen.replay.audit.chunks import TABLES, named_chunks
from flumen.replay.audit.past import Chunks, last_present, put_in
from flumen.replay.audit.seams import AuditedTables, ChunkTables
from flumen.replay.audit.steps import in_steps
from flumen.stores.kudu import Predicate


@dataclass(frozen=True, slots=True)
class _Keys:
    """Chunks of one image, counted by one column of its row."""

    image_id: str
    column: str
    seqs: tuple[int, ...]


class Orphans:
    """Takes out orphans.

    Args:
        tables: Kudu.
        chunks: what changes it.
        columns: which of `chunks` and `view_chunks` the table `images` has.
        seen_us: when they were there: microseconds since the epoch, by the servers' clocks.
        wait: waits for longer than a worker takes from the chunks of an image to its row.
    """

    def __init__(
        self,
        tables: AuditedTables,
        chunks: ChunkTables,
        columns: Sequence[str],
        seen_us: int,
        wait: Callable[[], None],
    ) -> None:
        self._tables = tables
        self._chunks = chunks
        self._columns = columns
        self._seen_us = seen_us
        self._wait = wait

    def remove(self, ids: Sequence[str]) -> set[str]:
        """Delete the chunks of these images that no row names; return the images of which a row came meanwhile."""
        came: set[str] = set()
        deleted: list[_Keys] = []
        try:
            for some in in_steps(ids):
                left = self._named(self._there(some), are=False)
                deleted += left
                self._delete(left)
            while deleted:
                self._wait()
                put_back = self._put_back(deleted)
                came |= {keys.image_id for keys in put_back}
                # What was put back for an image that was deleted at that moment has to go after all.
                deleted = self._named(put_back, are=False)
                self._delete(deleted)
        except KeyboardInterrupt:  # somebody has no time to wait
            self._put_back(deleted)
            raise
        return came

    def _put_back(self, deleted: Sequence[_Keys]) -> list[_Keys]:
        """Put back what rows name by now, where nobody else has written it; return it."""
        put_back = []
        for some in in_steps(deleted):
            wanted = self._named(some, are=True)
            there = {(keys.image_id, keys.column): set(keys.seqs) for keys in self._there(_ids(wanted))}
            for keys in wanted:
                lost = set(keys.seqs) - there.get((keys.image_id, keys.column), set())
                found = self._last(keys, sorted(lost)) if lost else None
                if found:
                    put_in(self._chunks, TABLES[keys.column], keys.image_id, found)
            put_back += wanted
        return put_back

    def _last(self, keys: _Keys, lost: Sequence[int]) -> Chunks | None:
        return last_present(self._tables, TABLES[keys.column], keys.image_id, lost, self._seen_us)

    def _delete(self, several: Sequence[_Keys]) -> None:
        for column in self._columns:
            pairs = [(keys.image_id, seq) for keys in several if keys.column == column for seq in keys.seqs]
            if pairs:
                ids, seqs = zip(*pairs, strict=True)
                rows = {"id": pa.array(ids, pa.string()), "seq": pa.array(seqs, pa.int32())}
                self._chunks.remove(TABLES[column], pa.record_batch(rows))

    def _there(self, ids: Sequence[str]) -> list[_Keys]:
        """Return which chunks of these images are there. They are read before rows: one that comes names them."""
        found: dict[tuple[str, str], list[int]] = {}
        for column in self._columns if ids else ():
            scan = self._tables.scan(TABLES[column], ["id", "seq"], [Predicate("id", "in", tuple(ids))])
            for rows in scan:
                for row in rows.to_pylist():
                    found.setdefault((row["id"], column), []).append(row["seq"])
        return [_Keys(image_id, column, tuple(seqs)) for (image_id, column), seqs in found.items()]

    def _named(self, several: Sequence[_Keys], *, are: bool) -> list[_Keys]:
        """Return of these chunks those that rows name by now, or those that they do not."""
        found = []
        for some in in_steps(several):
            named = named_chunks(self._tables, _ids(some), self._columns)
            for keys in some:
                row = named.get(keys.image_id)
                count = row.of(keys.column) if row else 0
                if seqs := tuple(seq for seq in keys.seqs if (seq < count) is are):
                    found.append(_Keys(keys.image_id, keys.column, seqs))
        return found


def _ids(several: Sequence[_Keys]) -> list[str]:
    return sorted({keys.image_id for keys in several})
