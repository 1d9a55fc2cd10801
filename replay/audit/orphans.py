"""Taking out chunks that no row names, beside workers that write chunks before the row that names them.

Kudu cannot compare and set. So the bytes of what is deleted are kept until no write can be on its way any more that had
been under way before; where a row names them by then, they are put back. docs/audit.md has the whole argument.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from flumen.replay.audit.chunks import TABLES, named_chunks
from flumen.replay.audit.seams import AuditedTables, ChunkTables
from flumen.stores.kudu import Predicate

_KEPT_BYTES = 64 * 1024 * 1024
"""So much is kept at once, or one image."""
_KEY = ["id", "seq"]
_COLUMN_OF = {table: column for column, table in TABLES.items()}


@dataclass(frozen=True, slots=True)
class _Piece:
    """Chunks of one image, as they were before they were deleted."""

    image_id: str
    table: str
    rows: pa.RecordBatch


class Orphans:
    """Takes out orphans.

    Args:
        tables: Kudu.
        chunks: what changes it.
        columns: which of `chunks` and `view_chunks` the table `images` has.
        wait: waits for longer than a worker takes from the chunks of an image to its row.
    """

    def __init__(
        self, tables: AuditedTables, chunks: ChunkTables, columns: Sequence[str], wait: Callable[[], None]
    ) -> None:
        self._tables = tables
        self._chunks = chunks
        self._columns = columns
        self._wait = wait

    def remove(self, ids: Sequence[str]) -> set[str]:
        """Delete the chunks of these images that no row names; return the images of which a row came meanwhile."""
        came: set[str] = set()
        kept: list[_Piece] = []
        for image_id in ids:
            kept += self._unnamed(image_id)
            if sum(piece.rows.nbytes for piece in kept) > _KEPT_BYTES:
                came |= self._take_out(kept)
                kept = []
        return came | self._take_out(kept)

    def _take_out(self, kept: Sequence[_Piece]) -> set[str]:
        came: set[str] = set()
        while kept:
            try:
                for piece in kept:
                    self._chunks.remove(piece.table, piece.rows.select(_KEY))
                self._wait()
            finally:  # also where somebody has no time to wait
                wanted = self._put_back(kept)
            came |= {piece.image_id for piece in wanted}
            # What was put back for an image that was deleted at that moment has to go after all.
            kept = self._not_named(wanted)
        return came

    def _put_back(self, kept: Sequence[_Piece]) -> list[_Piece]:
        """Put back what rows name by now, and return it."""
        wanted = self._split(kept, is_named=True)
        for piece in wanted:
            self._chunks.put_back(piece.table, piece.rows)
        return wanted

    def _not_named(self, pieces: Sequence[_Piece]) -> list[_Piece]:
        return self._split(pieces, is_named=False)

    def _split(self, pieces: Sequence[_Piece], *, is_named: bool) -> list[_Piece]:
        """Return of these pieces what rows name by now, or what they do not."""
        if not pieces:
            return []
        named = named_chunks(self._tables, sorted({piece.image_id for piece in pieces}), self._columns)
        found = []
        for piece in pieces:
            row = named.get(piece.image_id)
            count = row.of(_COLUMN_OF[piece.table]) if row else 0
            chosen = [(seq < count) is is_named for seq in piece.rows.column("seq").to_pylist()]
            if any(chosen):
                found.append(_Piece(piece.image_id, piece.table, piece.rows.filter(pa.array(chosen))))
        return found

    def _unnamed(self, image_id: str) -> list[_Piece]:
        """Read chunks that no row names. They are read before the row: one that came in between names them."""
        wanted = [Predicate("id", "=", (image_id,))]
        pieces = [
            _Piece(image_id, TABLES[column], rows)
            for column in self._columns
            for rows in self._tables.scan(TABLES[column], [*_KEY, "data"], wanted)
        ]
        return self._not_named(pieces)
