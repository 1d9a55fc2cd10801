"""Documents held against rows: as both are at one look."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from flumen.interceptor import Batch, Column, ImageMessage
from flumen.replay.audit.findings import Finding, of_columns
from flumen.replay.audit.seams import AuditedDocuments, AuditedTables, Corrected, Document
from flumen.stores.corrections import Standing
from flumen.stores.kudu import Predicate, columns_of
from flumen.stores.solr.comparison import milliseconds
from flumen.stores.solr.realtime import VERSION

COUNTS = ("chunks", "view_chunks")
LABEL = "knownlabel"
ANSWERS = "predictions"

_TIMES = ("ingested_at", "classified_at")
_LONGEST_WAIT_S = 3600.0
"""A worker that waits for Kudu for longer holds up all its images, and somebody has noticed."""

Rows = Mapping[str, pa.RecordBatch]
"""One row each, by the image's id."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs of some images, and the rows and documents that were held against one another.

    `fingerprints` tell whether rows are the ones that were read before.
    """

    findings: Mapping[str, Finding] = field(default_factory=dict)
    rows: Rows = field(default_factory=dict)
    documents: Mapping[str, Document] = field(default_factory=dict)
    fingerprints: Mapping[str, bytes] = field(default_factory=dict)

    def on_their_way(self, ours: Mapping[str, int]) -> set[str]:
        """Return the images whose documents may be of deliveries that are not in Kudu yet.

        `ours`: the versions of documents that are none, as the audit itself has written them, by id.
        """
        return {
            image_id
            for image_id, document in self.documents.items()
            if image_id in self.findings
            and self.findings[image_id].kind != "uncorrected"
            and ours.get(image_id) != document[VERSION]
            and _is_on_its_way(document, self.rows.get(image_id))
        }


class Comparing:
    """Looks at images in both stores.

    Args:
        tables: Kudu.
        documents: Solr.
        columns: what the interceptors declare.
        corrected: what was corrected.
    """

    def __init__(
        self,
        tables: AuditedTables,
        documents: AuditedDocuments,
        columns: Sequence[Column],
        corrected: Corrected,
    ) -> None:
        there = tables.schema("images").names
        self._tables = tables
        self._documents = documents
        self._corrected = corrected
        self._columns = tuple(column for column in columns if column.name in there)
        self._has_answers = ANSWERS in tables.tables()
        self.counts = tuple(name for name in COUNTS if name in there)
        named = ["id", *(column.name for column in self._columns), *self.counts]
        self.read_columns = tuple(dict.fromkeys(named))

    def at_first_sight(self, rows: pa.RecordBatch) -> dict[str, bytes]:
        """Return which of these rows have documents that differ, or are not what was corrected: ids, fingerprints."""
        known = rows.select(list(self.read_columns))
        ids = known.column("id").to_pylist()
        documents = self._documents.read(ids)
        columns = self._documents.differing(
            self.batch(known), [documents.get(image_id, {}) for image_id in ids]
        )
        standings = self._corrected.look(ids)
        differing = [
            row
            for row, image_id in enumerate(ids)
            if image_id not in documents
            or columns[row]
            or (image_id in standings and _uncorrected(standings[image_id], known.slice(row, 1)))
        ]
        return _fingerprints(known.take(pa.array(differing, pa.int32())))

    def now(self, ids: Sequence[str]) -> Compared:
        """Hold these images' documents against their rows, as both are by now. The documents are read first."""
        if not ids:
            return Compared()
        documents = self._documents.read(ids)
        rows, fingerprints = self._rows(ids)
        findings = {image_id: Finding("extra", image_id) for image_id in documents if image_id not in rows}
        findings |= {image_id: Finding("missing", image_id) for image_id in rows if image_id not in documents}
        both = [image_id for image_id in ids if image_id in rows and image_id in documents]
        if both:
            batch = self.batch(joined([rows[image_id] for image_id in both]))
            columns = self._documents.differing(batch, [documents[image_id] for image_id in both])
            findings |= {
                image_id: of_columns(image_id, names)
                for image_id, names in zip(both, columns, strict=True)
                if names
            }
        findings |= self._against_corrections(ids, rows, documents)
        return Compared(findings, rows, documents, fingerprints)

    def refused(self, compared: Compared) -> dict[str, Finding]:
        """Return which rows would have to be indexed, and are of no use to Solr."""
        kinds = ("missing", "stale", "different")
        wanted = [image_id for image_id, each in compared.findings.items() if each.kind in kinds]
        if not wanted:
            return {}
        batch = self.batch(joined([compared.rows[image_id] for image_id in wanted]))
        return {
            wanted[row]: Finding("refused", wanted[row], (why,))
            for row, why in self._documents.refusals(batch).items()
        }

    def present(self, ids: Sequence[str]) -> set[str]:
        """Return those of these images that have a row by now."""
        return self._ids_in("images", ids)

    def deleted(self, ids: Sequence[str]) -> list[str]:
        """Return those of these images that were deleted."""
        return [image_id for image_id, each in self._corrected.look(ids).items() if each.deleted]

    def batch(self, rows: pa.RecordBatch) -> Batch:
        """Return rows as the interceptors would have handed them on, without the images."""
        values = columns_of(rows, self._columns)
        images = [ImageMessage(image_id, b"", 0) for image_id in rows.column("id").to_pylist()]
        return Batch(images, values)

    def _against_corrections(
        self, ids: Sequence[str], rows: Rows, documents: Mapping[str, Document]
    ) -> dict[str, Finding]:
        """Return what is there of images that were deleted, and those that have not the label that they were given."""
        standings = self._corrected.look(ids)
        deleted = [image_id for image_id, each in standings.items() if each.deleted]
        answered = self._ids_in(ANSWERS, deleted) if deleted and self._has_answers else set()
        places = {"images": rows, "the index": documents, ANSWERS: answered}
        found: dict[str, Finding] = {}
        for image_id, standing in standings.items():
            where = [place for place, there in places.items() if standing.deleted and image_id in there]
            if where:
                found[image_id] = Finding("uncorrected", image_id, ("deleted", *where))
            elif _uncorrected(standing, rows.get(image_id)):
                found[image_id] = Finding("uncorrected", image_id, (LABEL,))
        return found

    def _rows(self, ids: Sequence[str]) -> tuple[dict[str, pa.RecordBatch], dict[str, bytes]]:
        """Return the rows of these images as they are by now, and their fingerprints."""
        found: dict[str, pa.RecordBatch] = {}
        fingerprints: dict[str, bytes] = {}
        for rows in self._tables.scan("images", self.read_columns, [Predicate("id", "in", tuple(ids))]):
            found |= {
                image_id: rows.slice(row, 1) for row, image_id in enumerate(rows.column("id").to_pylist())
            }
            fingerprints |= _fingerprints(rows)
        return found, fingerprints

    def _ids_in(self, table: str, ids: Sequence[str]) -> set[str]:
        found = self._tables.scan(table, ["id"], [Predicate("id", "in", tuple(ids))])
        return {image_id for rows in found for image_id in rows.column("id").to_pylist()}


def joined(rows: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return rows as one batch."""
    [batch] = pa.Table.from_batches(rows).combine_chunks().to_batches()
    return batch


def _fingerprints(rows: pa.RecordBatch) -> dict[str, bytes]:
    """Return, by id, what tells whether a row is the one that was read before."""
    values = zip(*(column.to_pylist() for column in rows.columns), strict=True)
    return {
        image_id: hashlib.blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        for image_id, row in zip(rows.column("id").to_pylist(), values, strict=True)
    }


def _uncorrected(standing: Standing, row: pa.RecordBatch | None) -> bool:
    if row is None:
        return False
    if standing.deleted:
        return True
    return LABEL in row.schema.names and row.column(LABEL)[0].as_py() != standing.knownlabel


def _is_on_its_way(document: Mapping[str, Any], row: pa.RecordBatch | None) -> bool:
    given = [milliseconds(document[name]) for name in _TIMES if document.get(name)]
    if row is None:
        return bool(given) and max(given) > 1000 * (time.time() - _LONGEST_WAIT_S)
    known = [row.column(name).cast(pa.int64())[0].as_py() for name in _TIMES if name in row.schema.names]
    of_row = [micros // 1000 for micros in known if micros is not None]
    return bool(given) and bool(of_row) and max(given) > max(of_row)
