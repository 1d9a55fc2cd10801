"""The bytes of stored images and of what classifiers saw of them: many at once, also those that are cut into chunks."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa

from flumen.replay.images.tables import ScannedTables
from flumen.stores.kudu import Predicate
from flumen.stores.kudu.schema import CHUNK_BYTES

READ_BYTES = 64 * 1024 * 1024
"""So many bytes of images are in memory at once, or one image."""

ORIGINAL = ("image", "chunks", "sha256")


@dataclass(frozen=True, slots=True)
class Moment:
    """Tables as they were at a time: microseconds since the epoch, by their servers' clocks. `threads` read them."""

    tables: ScannedTables
    snapshot_us: int
    threads: int

    def rows_of(self, table: str, columns: Sequence[str], ids: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read the rows of these ids, in one scan."""
        return self.rows(table, columns, [Predicate("id", "in", tuple(ids))])

    def rows(
        self, table: str, columns: Sequence[str], predicates: Sequence[Predicate]
    ) -> Iterator[pa.RecordBatch]:
        """Read the rows that meet these predicates, in one scan."""
        tokens = self.tables.scan_tokens(table, columns, predicates, self.snapshot_us)
        with closing(
            self.tables.read_tokens(table, columns, dict(enumerate(tokens)), self.threads)
        ) as reading:
            for given in reading:
                if given.rows is not None:
                    yield given.rows

    def restored(self, table: str, counts: Mapping[str, int]) -> dict[str, bytes | str]:
        """Put the chunks of each id together: its bytes, or the reason why there are none. `counts`: chunks by id."""
        chunks: dict[str, dict[int, bytes]] = {image_id: {} for image_id in counts}
        for rows in self.rows_of(table, ["id", "seq", "data"], list(counts)):
            for image_id, seq, data in zip(*(column.to_pylist() for column in rows.columns), strict=True):
                if seq < counts[image_id]:  # an image that shrank leaves chunks behind its last one
                    chunks[image_id][seq] = data
        return {
            image_id: b"".join(found[seq] for seq in range(counts[image_id]))
            if len(found) == counts[image_id]
            else f"{len(found)} of its {counts[image_id]} {table.replace('_', ' ')} are there"
            for image_id, found in chunks.items()
        }

    def originals(self, rows: pa.RecordBatch) -> Iterator[dict[str, bytes | str]]:
        """Yield images as they were published, or the reason why one cannot be had: by id, some at a time.

        `rows` has the column `id`, and saves to be read again if it has those of `ORIGINAL`.
        """
        if not set(ORIGINAL) <= set(rows.schema.names):
            ids = rows.column("id").to_pylist()
            for found in self.rows_of("images", ["id", *ORIGINAL], ids):
                yield from self.originals(found)
            return
        columns = [rows.column(name).to_pylist() for name in ("id", *ORIGINAL)]
        for group in _bounded(zip(*columns, strict=True)):
            cut = {image_id: chunks for image_id, _, chunks, _ in group if chunks}
            restored = self.restored("image_chunks", cut) if cut else {}
            contents: dict[str, bytes | str] = {}
            for image_id, image, _, sha256 in group:
                content = restored.get(image_id, image)
                if isinstance(content, bytes) and image_id in cut and not _is(content, sha256):
                    # Chunks are written before the row that names them.
                    content = "it is being replaced by another image of its id"
                contents[image_id] = "its row holds no image" if content is None else content
            yield contents


_Original = tuple[str, bytes | None, int, str | None]


def _bounded(rows: Iterable[_Original]) -> Iterator[list[_Original]]:
    group: list[_Original] = []
    size = 0
    for row in rows:
        needed = row[2] * CHUNK_BYTES or len(row[1] or b"")
        if group and size + needed > READ_BYTES:
            yield group
            group, size = [], 0
        group.append(row)
        size += needed
    if group:
        yield group


def _is(content: bytes, sha256: str | None) -> bool:
    return sha256 in (None, hashlib.sha256(content).hexdigest())
