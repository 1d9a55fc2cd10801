"""Twins in memory of what an audit looks at: Kudu's tables with their chunks, and the index."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flumen.interceptor import Batch, Column, Kind
from flumen.interceptor.batch import plain
from flumen.replay.audit.seams import Document
from flumen.replay.images.tables import MemoryTables
from flumen.stores.errors import StoreRefused, StoreUnavailable
from flumen.stores.kudu import Predicate, TokenRows
from flumen.stores.kudu.encoding import chunk_parts, image_rows, views
from flumen.stores.kudu.schema import all_tables
from flumen.stores.solr.comparison import differing, readable
from flumen.stores.solr.documents import Put, refusals
from flumen.stores.solr.encoding import field_values
from flumen.stores.solr.realtime import VERSION
from flumen.stores.solr.schema import UNIQUE_KEY, index_fields
from flumen.stores.solr.times import iso_time

_Key = tuple[Any, ...]


class MemoryKudu:
    """Kudu's tables: `flumen.replay.audit.seams.AuditedTables` and `ChunkTables`, and what a worker's sink does.

    `rows` are those of each table by their key. A token of a scan reads what was there at its time. With `available`
    False it behaves as servers that are down; `before` is called before each request.
    """

    def __init__(self, columns: Sequence[Column], before: Callable[[], None] = lambda: None) -> None:
        made = all_tables("", columns)
        self._images, self._chunks, self._view_chunks, _ = made
        self._lists = tuple(column.name for column in columns if column.kind is Kind.STRINGS)
        self._keys = {table.name: table.keys for table in made}
        self._schemas = {table.name: table.arrow for table in made}
        self._scans: list[MemoryTables] = []
        # Each table as it was until a time, the earliest first; what tests change by hand is not in it.
        self.past: dict[str, list[tuple[int, dict[_Key, dict[str, Any]]]]] = {name: [] for name in self._keys}
        self._frozen_past: dict[int, MemoryTables] = {}
        self.rows: dict[str, dict[_Key, dict[str, Any]]] = {table.name: {} for table in made}
        self.available = True
        self.before = before

    def write(self, batch: Batch, *, chunks: bool = True, row: bool = True) -> None:
        """Store a batch as `KuduSink` does, the chunks first; or one of the two alone.

        Raises:
            StoreRefused: Kudu would not take a row.
        """
        images, refused = image_rows(self._images, self._lists, batch)
        if refused:
            raise StoreRefused(str(refused))
        contents = [image.content for image in batch.images]
        if chunks:
            for table, values in ((self._chunks, contents), (self._view_chunks, views(batch))):
                for part in chunk_parts(table, batch, values, ()):
                    self.upsert(table.name, part.write.rows)
        if row:
            self.upsert("images", images)

    def delete(self, ids: Sequence[str]) -> None:
        """Take out images as `KuduSink.remove` does."""
        for table, rows in self.rows.items():
            self._remember(table)
            for key in [key for key in rows if key[0] in ids]:
                del rows[key]

    def upsert(self, table: str, rows: pa.RecordBatch) -> None:
        """Add rows, or replace those of their keys."""
        self._ask()
        self._remember(table)
        self.rows[table] |= {self._key(table, row): row for row in rows.to_pylist()}

    def let_pass(self, seconds: float) -> None:
        """Let all that was done so far be so much longer ago."""
        self.past = {
            name: [(until - round(seconds * 1e6), rows) for until, rows in past]
            for name, past in self.past.items()
        }

    def tables(self) -> Sequence[str]:
        """Return the names of the tables."""
        self._ask()
        return sorted(self.rows)

    def schema(self, table: str) -> pa.Schema:
        """Return the columns of a table."""
        self._ask()
        return self._known(table)

    def scan(
        self, table: str, columns: Sequence[str], predicates: Sequence[Predicate] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Read the rows that meet every predicate, as they are by now."""
        self._ask()
        frozen = self._frozen(table)
        tokens = dict(enumerate(frozen.scan_tokens(table, columns, predicates)))
        for given in frozen.read_tokens(table, columns, tokens, 1):
            if given.rows is not None:
                yield given.rows

    def scan_tokens(
        self,
        table: str,
        columns: Sequence[str],
        predicates: Sequence[Predicate] = (),
        snapshot_us: int | None = None,
    ) -> Sequence[bytes]:
        """Cut a scan into tokens."""
        self._ask()
        self._scans.append(frozen := self._frozen(table, snapshot_us))
        number = len(self._scans) - 1
        tokens = frozen.scan_tokens(table, columns, predicates, snapshot_us)
        return [b"%d " % number + token for token in tokens]

    def read_tokens(
        self, table: str, columns: Sequence[str], tokens: Mapping[int, bytes], threads: int
    ) -> Generator[TokenRows, None, None]:
        """Read the rows of these tokens, one after another."""
        for number, token in tokens.items():
            self._ask()
            scan, rest = token.split(b" ", 1)
            yield from self._scans[int(scan)].read_tokens(table, columns, {number: rest}, threads)

    def remove(self, table: str, keys: pa.RecordBatch) -> None:
        """Delete chunks."""
        self._ask()
        self._remember(table)
        for row in keys.to_pylist():
            self.rows[table].pop(self._key(table, row), None)

    def put_back(self, table: str, chunks: pa.RecordBatch) -> None:
        """Insert chunks where none are."""
        self._ask()
        self._remember(table)
        for row in chunks.to_pylist():
            self.rows[table].setdefault(self._key(table, row), row)

    def _ask(self) -> None:
        self.before()
        if not self.available:
            raise StoreUnavailable("the tables in memory are down")

    def _known(self, table: str) -> pa.Schema:
        if table not in self.rows:
            raise StoreRefused(f"there is no table {table!r}")
        return self._schemas[table]

    def _key(self, table: str, row: Mapping[str, Any]) -> _Key:
        return tuple(row[name] for name in self._keys[table])

    def _remember(self, table: str) -> None:
        past = self.past[table]
        until = max(time.time_ns() // 1000, past[-1][0] + 1 if past else 0)
        past.append((until, dict(self.rows[table])))

    def _frozen(self, table: str, moment_us: int | None = None) -> MemoryTables:
        schema = self._known(table)
        then = self.rows[table]
        if moment_us is not None:
            then = next((rows for until, rows in self.past[table] if moment_us < until), then)
        if then is self.rows[table] or id(then) not in self._frozen_past:
            made = MemoryTables({table: pa.Table.from_pylist([then[key] for key in sorted(then)], schema)})
            if then is self.rows[table]:
                return made
            self._frozen_past[id(then)] = made  # it changes no more
        return self._frozen_past[id(then)]


class MemoryDocuments:
    """`flumen.replay.audit.seams.AuditedDocuments`, and what a worker's sink does: documents as Solr gives them, by id.

    With `available` False it behaves as a server that is down; `before` is called before each request.
    """

    def __init__(self, columns: Sequence[Column], before: Callable[[], None] = lambda: None) -> None:
        self._fields = index_fields(columns)
        self._last = 0
        self.documents: dict[str, Document] = {}
        self.available = True
        self.before = before

    def write(self, batch: Batch) -> None:
        """Store the documents of a batch as `SolrSink` does, whatever is there."""
        self._ask()
        for row, image in enumerate(batch.images):
            self._store(image.id, self._document(batch, row))

    def delete(self, ids: Sequence[str]) -> None:
        """Take documents out, whatever their version."""
        for image_id in ids:
            self.documents.pop(image_id, None)

    def read(self, ids: Sequence[str]) -> dict[str, Document]:
        """Return the documents of these images."""
        self._ask()
        return {image_id: self.documents[image_id] for image_id in ids if image_id in self.documents}

    def count(self) -> int:
        """Return how many documents there are."""
        self._ask()
        return len(self.documents)

    def ids(self) -> Iterator[Sequence[str]]:
        """Yield the ids of all documents, some at a time."""
        ids = sorted(self.documents)
        for start in range(0, len(ids), 7):
            self._ask()
            yield ids[start : start + 7]

    def differing(self, batch: Batch, documents: Sequence[Document]) -> list[list[str]]:
        """Return for each row the columns in which its document is not what the row would make."""
        return differing(batch, documents, readable(self._fields))

    def refusals(self, batch: Batch) -> Mapping[int, str]:
        """Return why the documents of these rows would be refused."""
        return refusals(batch, self._fields)

    def put(self, batch: Batch, documents: Sequence[Document | None]) -> Put:
        """Write the document of each row in place of the one that was read."""
        self._ask()
        refused = self.refusals(batch)
        versions: dict[int, int] = {}
        for row, (image, replaced) in enumerate(zip(batch.images, documents, strict=True)):
            if row not in refused and self._is_still(image.id, replaced):
                kept = {} if replaced is None else {"disagreement": replaced.get("disagreement")}
                versions[row] = self._store(image.id, {**self._document(batch, row), **kept})
        return Put(refused, versions)

    def remove(self, documents: Sequence[Document]) -> None:
        """Delete these documents where they are still the ones that were read."""
        self._ask()
        for document in documents:
            if self._is_still(document[UNIQUE_KEY], document):
                del self.documents[document[UNIQUE_KEY]]

    def commit(self) -> None:
        """Do nothing: what was written is found at once."""
        self._ask()

    def _ask(self) -> None:
        self.before()
        if not self.available:
            raise StoreUnavailable("the documents in memory are down")

    def _is_still(self, image_id: str, document: Document | None) -> bool:
        there = self.documents.get(image_id)
        return (there or {}).get(VERSION) == (document or {}).get(VERSION)

    def _store(self, image_id: str, document: Mapping[str, Any]) -> int:
        self._last += 1
        self.documents[image_id] = {
            **{name: value for name, value in document.items() if value is not None},
            VERSION: self._last,
        }
        return self._last

    def _document(self, batch: Batch, row: int) -> dict[str, Any]:
        """Return what Solr would give back of a row: without what it keeps to search by alone."""
        made: dict[str, Any] = {}
        for field in readable(self._fields):
            values = field_values(batch.columns, field)
            value = None if values is None else plain(values)[row]
            made[field.name] = None if value is None else _given(field.column.kind, value)
        return made | {UNIQUE_KEY: batch.images[row].id}


def _given(kind: Kind, value: Any) -> Any:
    match kind:
        case Kind.TIMESTAMP:
            return iso_time(value)
        case Kind.FLOAT | Kind.DOUBLE:
            number = float(np.float32(value)) if kind is Kind.FLOAT else float(value)
            return number if np.isfinite(number) else None
        case Kind.STRINGS:
            return sorted(set(value)) or None
        case _:
            return value
