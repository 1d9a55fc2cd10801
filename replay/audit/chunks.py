"""Images in pieces: those of which some are not there, pieces that no row names, and bytes that are not the image's.

A worker writes the chunks of an image before its row, and what deletes an image deletes its row before the chunks. So
where a row is read first, its chunks are there; and where chunks are read first, a row may be on its way.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from flumen.replay.audit.findings import Finding
from flumen.replay.audit.seams import AuditedTables
from flumen.replay.audit.steps import in_steps
from flumen.replay.images.stored import Moment
from flumen.stores.kudu import Predicate

TABLES: Mapping[str, str] = {"chunks": "image_chunks", "view_chunks": "view_chunks"}
"""The table of chunks that each column of `images` counts."""

_OF_CUT = ("id", "chunks", "sha256")
_OF_WHOLE = ("id", "image", "sha256")


@dataclass(frozen=True, slots=True)
class Named:
    """How many chunks the row of an image names, by column; nothing where there is no row."""

    counts: Mapping[str, int] = field(default_factory=dict)

    def of(self, column: str) -> int:
        """Return how many it names."""
        return self.counts.get(column) or 0


def incomplete(moment: Moment, rows: pa.RecordBatch, counts: Sequence[str]) -> Iterator[str]:
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
        for pieces in moment.rows_of(TABLES[name], ["id", "seq"], list(wanted)):
            # An image that shrank leaves pieces behind its last one.
            there.update(image_id for image_id, seq in _pairs(pieces) if seq < wanted[image_id])
        yield from (image_id for image_id, count in wanted.items() if there[image_id] < count)


def unnamed(moment: Moment, column: str) -> Iterator[set[str]]:
    """Yield images of which there were chunks at that moment that no row named, some at a time."""
    for pieces in moment.rows(TABLES[column], ["id", "seq"], ()):
        last: dict[str, int] = {}
        for image_id, seq in _pairs(pieces):
            last[image_id] = max(seq, last.get(image_id, 0))
        for some in in_steps(sorted(last)):
            counts = {
                image_id: count
                for rows in moment.rows_of("images", ["id", column], some)
                for image_id, count in _pairs(rows)
            }
            yield {image_id for image_id in some if last[image_id] >= (counts.get(image_id) or 0)}


def named_chunks(
    tables: AuditedTables, ids: Sequence[str], columns: Sequence[str] = tuple(TABLES)
) -> dict[str, Named]:
    """Return what the rows of these images name by now; of those that have one."""
    found = tables.scan("images", ["id", *columns], [Predicate("id", "in", tuple(ids))])
    return {
        row["id"]: Named({name: row[name] for name in columns}) for rows in found for row in rows.to_pylist()
    }


def look_again(
    tables: AuditedTables, ids: Sequence[str], columns: Sequence[str]
) -> tuple[list[Finding], list[Finding]]:
    """Return which of these images are incomplete by now, and which have chunks that no row names.

    The rows are read before the chunks and again behind them: what changed in between is neither.
    """
    before = named_chunks(tables, ids, columns)
    pieces = {column: _sequences(tables, TABLES[column], ids) for column in columns}
    after = named_chunks(tables, ids, columns)
    missing, orphans = [], []
    for image_id in ids:
        named = after.get(image_id, Named())
        lacking, left = [], []
        for column in columns:
            there = pieces[column].get(image_id, set())
            what = column.replace("_", " ")
            of_it = sum(seq < named.of(column) for seq in there)
            if of_it < named.of(column) and before.get(image_id) == named:
                lacking.append(f"{of_it} of {named.of(column)} {what}")
            if len(there) > of_it:
                count = len(there) - of_it
                left.append(f"{count} {what.removesuffix('s') if count == 1 else what}")
        if lacking:
            missing.append(Finding("incomplete", image_id, lacking))
        if left:
            orphans.append(Finding("orphan", image_id, left))
    return missing, orphans


def damaged(moment: Moment, columns: Sequence[str]) -> Iterator[str]:
    """Yield the images whose bytes are not those of their hash at that moment. All of them are read, some at a time.

    `columns`: those of the table `images`; without `sha256` there is nothing to hold them against.
    """
    if "sha256" not in columns:
        return
    for rows in moment.rows("images", _OF_WHOLE, [Predicate("chunks", "=", (0,))]):
        for image_id, image, sha256 in _rows(rows):
            if sha256 is not None and (image is None or hashlib.sha256(image).hexdigest() != sha256):
                yield image_id
    # A scan that waits for long expires: the names first, then what they name.
    tokens = moment.tables.scan_tokens(
        "images", _OF_CUT, [Predicate("chunks", ">", (0,))], moment.snapshot_us
    )
    for token in tokens:
        reading = moment.tables.read_tokens("images", _OF_CUT, {0: token}, 1)
        for rows in [given.rows for given in reading if given.rows is not None]:
            with_image = rows.append_column("image", pa.nulls(rows.num_rows, pa.binary()))
            for contents in moment.originals(with_image):
                yield from (image_id for image_id, content in contents.items() if isinstance(content, str))


def is_damaged(tables: AuditedTables, image_id: str) -> bool:
    """Look once more at one image: whether all its chunks are there by now, and are not those of its hash."""
    wanted = [Predicate("id", "=", (image_id,))]
    before = whole_row(tables, wanted)
    if before is None:
        return False
    image, count, sha256 = before
    digest = hashlib.sha256(image or b"")
    if count:
        pieces = {
            seq: data
            for rows in tables.scan(
                "image_chunks", ["seq", "data"], [*wanted, Predicate("seq", "<", (count,))]
            )
            for seq, data in _rows(rows)
        }
        if len(pieces) < count:
            return False  # which is another finding
        for seq in sorted(pieces):
            digest.update(pieces[seq])
    elif image is None:
        return whole_row(tables, wanted) == before
    return sha256 not in (None, digest.hexdigest()) and whole_row(tables, wanted) == before


def whole_row(
    tables: AuditedTables, wanted: Sequence[Predicate]
) -> tuple[bytes | None, int, str | None] | None:
    """Return the image, the count of its chunks and its hash, of the one row that meets these predicates."""
    for rows in tables.scan("images", ["image", "chunks", "sha256"], wanted):
        for image, count, sha256 in _rows(rows):
            return image, count, sha256
    return None


def _sequences(tables: AuditedTables, table: str, ids: Sequence[str]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for rows in tables.scan(table, ["id", "seq"], [Predicate("id", "in", tuple(ids))]):
        for image_id, seq in _pairs(rows):
            found.setdefault(image_id, set()).add(seq)
    return found


def _pairs(rows: pa.RecordBatch) -> Iterator[tuple[str, int]]:
    return _rows(rows)


def _rows(rows: pa.RecordBatch) -> Iterator[tuple]:  # type: ignore[type-arg]
    return zip(*(column.to_pylist() for column in rows.columns), strict=True)
