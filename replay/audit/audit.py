"""Every row of Kudu against its document in Solr, and every document against its row.

Workers may store images meanwhile. What differs is only a finding if it differs once more after `grace_s`, and Kudu's
row is still the same: so nothing that was on its way counts. To mend it, the document is read first, then the row, and
the document is written only where it is still the one that was read; then both are read again. So no document is
replaced by what an older row would make, and one whose image is deleted at that moment does not stay.

A worker may have stored an image in Solr, and wait for Kudu. So a document that is newer than its row is left alone,
and one without a row for an hour after it was classified: the row is on its way, for all that is known here.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from flumen.interceptor import Batch, Column, ImageMessage
from flumen.replay.audit.chunks import incomplete
from flumen.replay.audit.findings import Finding, Report, of_columns
from flumen.replay.images.stored import Moment
from flumen.replay.sql.where import Condition
from flumen.stores.kudu import KuduReader, Predicate, columns_of
from flumen.stores.solr.comparison import milliseconds
from flumen.stores.solr.documents import SolrDocuments

_AT_ONCE = 500
_MOST_SUSPECTS = 50_000
"""So many images wait at most for their second look: some 10 MB of ids."""
_ROUNDS = 3
_TIMES = ("ingested_at", "classified_at")
_LONGEST_WAIT_S = 3600.0
"""A worker that waits for Kudu for longer holds up all its images, and somebody has noticed."""
_COUNTS = ("chunks", "view_chunks")

Rows = Mapping[str, pa.RecordBatch]
"""One row each, by the image's id."""


class Audit:
    """One audit. It belongs to one thread.

    Args:
        tables: Kudu.
        documents: Solr, connected.
        columns: what the interceptors declare; those that are indexed are compared.
        fix: mend what can be mended.
        grace_s: how long what differs is left alone before it is looked at again, seconds.
        report: called with how many more rows have been looked at.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        tables: KuduReader,
        documents: SolrDocuments,
        columns: Sequence[Column],
        fix: bool = False,
        grace_s: float = 10.0,
        report: Callable[[int], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        there = set(tables.schema("images").names)
        self._tables = tables
        self._documents = documents
        self._columns = tuple(column for column in columns if column.name in there)
        self._fix = fix
        self._grace_s = grace_s
        self._tell = report
        self._sleep = sleep
        self._counts = tuple(name for name in _COUNTS if name in there)
        named = ["id", *(column.name for column in self._columns), *self._counts]
        self._read_columns = tuple(dict.fromkeys(named))
        self._suspects: dict[str, bytes] = {}

    def run(self, where: str = "") -> Report:
        """Look at all images, or at those that meet a condition; documents without a row are found in the first case.

        Raises:
            BadQuery: the condition is none.
            StoreError: a store cannot be read, or written.
        """
        found = Report()
        condition = Condition(where, self._tables.schema("images")) if where else None
        moment = Moment(self._tables, time.time_ns() // 1000, 1)
        for rows in self._scanned(moment, condition):
            self._suspect(self._look(rows), found)
            for finding in incomplete(moment, rows, self._counts):
                found.add(finding)
            found.images += rows.num_rows
            self._tell(rows.num_rows)
        if condition is None:
            self._documents.commit()
            for ids in self._documents.ids():
                without = set(ids) - self._present(ids) - self._suspects.keys()
                self._suspect(dict.fromkeys(without, b""), found)
        self._judge(found)
        if self._fix:
            self._documents.commit()
        return found

    def _scanned(self, moment: Moment, condition: Condition | None) -> Iterator[pa.RecordBatch]:
        names = [*self._read_columns, *(condition.columns if condition else ())]
        predicates = condition.predicates if condition else ()
        for batch in moment.rows("images", tuple(dict.fromkeys(names)), predicates):
            kept = condition.kept([batch])[0] if condition else batch
            for start in range(0, kept.num_rows, _AT_ONCE):
                yield kept.slice(start, _AT_ONCE)

    def _look(self, rows: pa.RecordBatch) -> dict[str, bytes]:
        """Return what differs at first sight: the images' ids, each with a fingerprint of its row."""
        ids = rows.column("id").to_pylist()
        documents = self._documents.read(ids)
        batch = self._batch(rows)
        columns = self._documents.differing(batch, [documents.get(image_id, {}) for image_id in ids])
        known = rows.select(list(self._read_columns))
        return {
            image_id: _fingerprint(known.slice(row, 1))
            for row, image_id in enumerate(ids)
            if image_id not in documents or columns[row]
        }

    def _suspect(self, differing: Mapping[str, bytes], found: Report) -> None:
        """Note images that differ, each with a fingerprint of its row, empty where it has none."""
        self._suspects |= differing
        if len(self._suspects) >= _MOST_SUSPECTS:
            self._judge(found)

    def _judge(self, found: Report) -> None:
        """Look again at what differed, count what still does, and mend it."""
        suspects, self._suspects = self._suspects, {}
        if suspects:
            self._sleep(self._grace_s)
        ids = list(suspects)
        for start in range(0, len(ids), _AT_ONCE):
            compared = self._compared(ids[start : start + _AT_ONCE])
            differing, on_their_way = dict(compared.findings), compared.on_their_way()
            for image_id in compared.findings:
                row = compared.rows.get(image_id)
                has_changed = (b"" if row is None else _fingerprint(row)) != suspects[image_id]
                if has_changed or image_id in on_their_way:
                    found.moving += 1
                    del differing[image_id]
            left = self._mended(replace(compared, findings=differing)) if self._fix else differing
            for image_id, finding in differing.items():
                found.add(left.get(image_id, finding), mended=image_id not in left)

    def _compared(self, ids: Sequence[str]) -> "_Compared":
        """Hold these images' documents against their rows, as both are by now. The documents are read first."""
        if not ids:
            return _Compared({}, {}, {})
        documents = self._documents.read(ids)
        rows = self._rows(ids)
        findings = {image_id: Finding("extra", image_id) for image_id in documents if image_id not in rows}
        findings |= {image_id: Finding("missing", image_id) for image_id in rows if image_id not in documents}
        both = [image_id for image_id in ids if image_id in rows and image_id in documents]
        if both:
            batch = self._batch(_joined([rows[image_id] for image_id in both]))
            columns = self._documents.differing(batch, [documents[image_id] for image_id in both])
            findings |= {
                image_id: of_columns(image_id, names)
                for image_id, names in zip(both, columns, strict=True)
                if names
            }
        return _Compared(findings, rows, documents)

    def _mended(self, compared: "_Compared") -> dict[str, Finding]:
        """Mend what was found, and look whether it is; return what is left."""
        refused: dict[str, Finding] = {}
        for _ in range(_ROUNDS):
            if not compared.findings:
                break
            refused |= self._put_right(compared)
            compared = self._compared([each for each in compared.findings if each not in refused])
            on_their_way = compared.on_their_way()
            differing = {
                each: finding for each, finding in compared.findings.items() if each not in on_their_way
            }
            compared = replace(compared, findings=differing)
        return {**compared.findings, **refused}

    def _put_right(self, compared: "_Compared") -> dict[str, Finding]:
        """Delete documents that are extra, and write the others; return those that Solr refuses."""
        findings, rows, documents = compared.findings, compared.rows, compared.documents
        self._documents.remove([documents[each] for each in findings if each not in rows])
        wanted = [each for each in findings if each in rows]
        if not wanted:
            return {}
        batch = self._batch(_joined([rows[each] for each in wanted]))
        reasons = self._documents.put(batch, [documents.get(each) for each in wanted])
        return {wanted[row]: Finding("refused", wanted[row], (why,)) for row, why in reasons.items()}

    def _rows(self, ids: Sequence[str]) -> dict[str, pa.RecordBatch]:
        """Return the rows of these images as they are by now."""
        found = self._tables.scan("images", self._read_columns, [Predicate("id", "in", tuple(ids))])
        return {
            image_id: rows.slice(row, 1)
            for rows in found
            for row, image_id in enumerate(rows.column("id").to_pylist())
        }

    def _present(self, ids: Sequence[str]) -> set[str]:
        """Return those of these images that have a row by now."""
        found = self._tables.scan("images", ["id"], [Predicate("id", "in", tuple(ids))])
        return {image_id for rows in found for image_id in rows.column("id").to_pylist()}

    def _batch(self, rows: pa.RecordBatch) -> Batch:
        values = columns_of(rows, self._columns)
        images = [ImageMessage(image_id, b"", 0) for image_id in rows.column("id").to_pylist()]
        return Batch(images, values)


@dataclass(frozen=True, slots=True)
class _Compared:
    """What differs of some images, and the rows and documents that were held against one another."""

    findings: Mapping[str, Finding]
    rows: Rows
    documents: Mapping[str, Mapping[str, Any]]

    def on_their_way(self) -> set[str]:
        """Return the images whose documents may be of deliveries that are not in Kudu yet."""
        return {
            image_id
            for image_id, document in self.documents.items()
            if image_id in self.findings and _is_on_its_way(document, self.rows.get(image_id))
        }


def _joined(rows: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    [batch] = pa.Table.from_batches(rows).combine_chunks().to_batches()
    return batch


def _is_on_its_way(document: Mapping[str, Any], row: pa.RecordBatch | None) -> bool:
    given = [milliseconds(document[name]) for name in _TIMES if document.get(name)]
    if row is None:
        return bool(given) and max(given) > 1000 * (time.time() - _LONGEST_WAIT_S)
    known = [row.column(name).cast(pa.int64())[0].as_py() for name in _TIMES if name in row.schema.names]
    of_row = [micros // 1000 for micros in known if micros is not None]
    return bool(given) and bool(of_row) and max(given) > max(of_row)


def _fingerprint(row: pa.RecordBatch) -> bytes:
    return hashlib.blake2b(repr(row.to_pylist()).encode("utf-8", "surrogatepass"), digest_size=16).digest()
