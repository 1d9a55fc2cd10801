"""Every row of Kudu against its document in Solr, and every document and every chunk against its row.

Workers may store images meanwhile. What differs is only a finding if it differs once more after `Pace.grace_s`, and
Kudu's row is still the same: so nothing that was on its way counts. To mend it, the document is read first, then the
row, and the document is written only where it is still the one that was read; then both are read again, and what was
corrected is looked at again. So no document is replaced by what an older row would make, and one whose image is deleted
at that moment does not stay.

A worker may have stored an image in Solr, and wait for Kudu. So a document that is newer than its row is left alone,
and one without a row for an hour after it was classified: the row is on its way, for all that is known here.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from flumen.interceptor import Column
from flumen.replay.audit.chunks import TABLES, damaged, incomplete, is_damaged, look_again, unnamed
from flumen.replay.audit.comparing import ANSWERS, Compared, Comparing, joined
from flumen.replay.audit.findings import Finding, Report
from flumen.replay.audit.orphans import Orphans
from flumen.replay.audit.past import restore
from flumen.replay.audit.seams import (
    AuditedDocuments,
    AuditedTables,
    ChunkTables,
    Corrected,
    NothingCorrected,
)
from flumen.replay.audit.steps import AT_ONCE, in_steps
from flumen.replay.errors import NoImages
from flumen.replay.images.chosen import chosen_rows
from flumen.replay.images.stored import Moment
from flumen.replay.sql.where import Condition
from flumen.stores.kudu import TokenRows

_MOST_SUSPECTS = 50_000
"""So many images wait for their second look, some 10 MB of ids, and those of one token of a scan."""
_ROUNDS, _MOST_ROUNDS = 3, 10

Stage = Literal["rows", "documents", "chunks", "second look"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How long to wait, seconds.

    `grace_s`: what differs is left alone for so long before it is looked at again. `orphans_s`: for so long the chunks
    that were taken out are kept, in case the row comes that names them. `sleep` waits.
    """

    grace_s: float = 10.0
    orphans_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """What is looked at beside rows and documents.

    `corrected`: what was corrected. `pieces`: whether all chunks are there, and none that no row names; `chunks` takes
    these out, without it they stay. `originals`: read the bytes of every image and hold them against their hash.
    """

    corrected: Corrected | None = None
    pieces: bool = True
    chunks: ChunkTables | None = None
    originals: bool = False


def _tell_nobody(_stage: Stage, _more: int) -> None: ...


class Audit:
    """One audit. It belongs to one thread.

    Args:
        tables: Kudu.
        documents: Solr, connected.
        columns: what the interceptors declare; those that are indexed are compared.
        fix: mend what can be mended.
        pace: how long it waits.
        beside: what else it looks at.
        report: called with what is looked at, and how many more were.
    """

    def __init__(
        self,
        tables: AuditedTables,
        documents: AuditedDocuments,
        columns: Sequence[Column],
        fix: bool = False,
        pace: Pace = Pace(),
        beside: Beside = Beside(),
        report: Callable[[Stage, int], None] = _tell_nobody,
    ) -> None:
        self._tables = tables
        self._documents = documents
        self._fix = fix
        self._pace = pace
        self._beside = beside
        self._tell = report
        self._corrected = beside.corrected or NothingCorrected()
        self._comparing = Comparing(tables, documents, columns, self._corrected)
        self._suspects: dict[str, bytes] = {}

    def run(self, where: str = "") -> Report:
        """Look at all images, or at those that meet a condition.

        Documents and chunks without a row, and what is left of deleted images, are looked for in the first case.

        Raises:
            BadQuery: the condition is none.
            NoImages: all documents of the index would have to be deleted.
            StoreError: a store cannot be read, or written. What was mended by then stays so.
        """
        found = Report()
        schema = self._tables.schema("images")
        condition = Condition(where, schema) if where else None
        moment = Moment(self._tables, time.time_ns() // 1000, 1)
        in_pieces = self._rows(moment, condition, found)
        if condition is None:
            if self._fix and not found.images:
                self._check_that_nothing_is_lost()
            self._documents_without_rows(found)
            if self._beside.corrected is not None:
                self._answers_of_deleted(moment)
            if self._beside.pieces:
                in_pieces |= self._orphans(moment)
        self._judge(found)
        self._judge_pieces(moment, sorted(in_pieces), found)
        if self._beside.originals and condition is None:
            self._judge_bytes(list(damaged(moment, schema.names)), found)
        if self._fix:
            self._documents.commit()
        return found

    def _rows(self, moment: Moment, condition: Condition | None, found: Report) -> set[str]:
        """Look at every row; return the images of which pieces are missing."""
        in_pieces: set[str] = set()
        names = tuple(
            dict.fromkeys([*self._comparing.read_columns, *(condition.columns if condition else ())])
        )
        predicates = condition.predicates if condition else ()
        # A scan that waits for long expires: so what differs is looked at again between two of them.
        for token in moment.tables.scan_tokens("images", names, predicates, moment.snapshot_us):
            reading = moment.tables.read_tokens("images", names, {0: token}, moment.threads)
            with closing(reading):
                for rows in _at_once(chosen_rows(reading, condition)):
                    self._suspects |= self._comparing.at_first_sight(rows)
                    if self._beside.pieces:
                        in_pieces.update(incomplete(moment, rows, self._comparing.counts))
                    found.images += rows.num_rows
                    self._tell("rows", rows.num_rows)
            if len(self._suspects) >= _MOST_SUSPECTS:
                self._judge(found)
        return in_pieces

    def _check_that_nothing_is_lost(self) -> None:
        self._documents.commit()
        if count := self._documents.count():
            raise NoImages(
                f"Kudu has no images, and the index has {count:,} documents, which would all have to go: nothing was "
                "changed. Check FLUMEN_KUDU_TABLE_PREFIX and FLUMEN_SOLR_CORE; or delete the index, if that is meant"
            )

    def _documents_without_rows(self, found: Report) -> None:
        self._documents.commit()
        for ids in self._documents.ids():
            without = set(ids) - self._comparing.present(ids) - self._suspects.keys()
            self._suspects |= dict.fromkeys(without, b"")
            self._tell("documents", len(ids))
            if len(self._suspects) >= _MOST_SUSPECTS:
                self._judge(found)

    def _answers_of_deleted(self, moment: Moment) -> None:
        if ANSWERS not in self._tables.tables():
            return
        for rows in moment.rows(ANSWERS, ["id"], ()):
            for image_id in self._comparing.deleted(rows.column("id").to_pylist()):
                self._suspects.setdefault(image_id, b"")

    def _orphans(self, moment: Moment) -> set[str]:
        there = self._tables.tables()
        suspects: set[str] = set()
        for column in self._comparing.counts:
            if TABLES[column] in there:
                for ids in unnamed(moment, column):
                    suspects |= ids
                    if ids:
                        self._tell("chunks", len(ids))
        return suspects

    def _judge(self, found: Report) -> None:
        """Look again at what differed, count what still does, and mend it."""
        suspects, self._suspects = self._suspects, {}
        self._wait_if(suspects)
        for ids in in_steps(sorted(suspects)):  # neighbours lie side by side in Kudu
            compared = self._comparing.now(ids)
            differing, on_their_way = dict(compared.findings), compared.on_their_way({})
            for image_id in compared.findings:
                has_changed = compared.fingerprints.get(image_id, b"") != suspects[image_id]
                if has_changed or image_id in on_their_way:
                    found.moving += 1
                    del differing[image_id]
            compared = replace(compared, findings=differing)
            if self._fix:
                left = self._mended(compared)
            else:
                left = differing = differing | self._comparing.refused(compared)
            for image_id, finding in differing.items():
                found.add(left.get(image_id, finding), mended=image_id not in left)
            self._tell("second look", len(ids))

    def _mended(self, compared: Compared) -> dict[str, Finding]:
        """Mend what was found, and look whether it is; return what is left."""
        refused: dict[str, Finding] = {}
        ours: dict[str, int] = {}
        rounds = 0
        while compared.findings and rounds < (_MOST_ROUNDS if _is_ours(compared, ours) else _ROUNDS):
            rounds += 1
            refused |= self._put_right(compared, ours)
            compared = self._comparing.now([each for each in compared.findings if each not in refused])
            on_their_way = compared.on_their_way(ours)
            differing = {
                each: finding for each, finding in compared.findings.items() if each not in on_their_way
            }
            compared = replace(compared, findings=differing)
        return {**compared.findings, **refused}

    def _put_right(self, compared: Compared, ours: dict[str, int]) -> dict[str, Finding]:
        """Settle what was corrected, delete documents that are extra, write the others; return those that are refused.

        The versions of what is written are added to `ours`.
        """
        findings, rows, documents = compared.findings, compared.rows, compared.documents
        uncorrected = [each for each, finding in findings.items() if finding.kind == "uncorrected"]
        if uncorrected:
            self._corrected.settle(uncorrected)
        self._documents.remove(
            [documents[each] for each, finding in findings.items() if finding.kind == "extra"]
        )
        wanted = [each for each, finding in findings.items() if finding.kind not in ("extra", "uncorrected")]
        if not wanted:
            return {}
        batch = self._comparing.batch(joined([rows[each] for each in wanted]))
        put = self._documents.put(batch, [documents.get(each) for each in wanted])
        ours |= {wanted[row]: version for row, version in put.versions.items()}
        return {wanted[row]: Finding("refused", wanted[row], (why,)) for row, why in put.refused.items()}

    def _judge_pieces(self, moment: Moment, ids: Sequence[str], found: Report) -> None:
        """Look again at images in pieces, count what is wrong with them still, and mend it."""
        self._wait_if(ids)
        chunks = self._beside.chunks if self._fix else None
        left: list[Finding] = []
        for some in in_steps(ids):
            missing, orphans = look_again(self._tables, some, self._comparing.counts)
            found.moving += len(set(some) - {each.image_id for each in (*missing, *orphans)})
            for finding in missing:
                is_whole = chunks is not None and restore(self._tables, chunks, finding.image_id)
                found.add(finding, mended=is_whole)
            left += orphans
            self._tell("second look", len(some))
        came = set()
        if chunks is not None:
            wait = lambda: self._pace.sleep(self._pace.orphans_s)  # noqa: E731
            taking = Orphans(self._tables, chunks, self._comparing.counts, moment.snapshot_us, wait)
            came = taking.remove([each.image_id for each in left])
            found.moving += len(came)
        for finding in left:
            if finding.image_id not in came:
                found.add(finding, mended=chunks is not None)
        for image_id in came:  # of which chunks were put back
            if is_damaged(self._tables, image_id):
                found.add(Finding("damaged", image_id))

    def _judge_bytes(self, ids: Sequence[str], found: Report) -> None:
        self._wait_if(ids)
        for image_id in ids:
            if is_damaged(self._tables, image_id):
                found.add(Finding("damaged", image_id, ("its bytes are not those of sha256",)))
            self._tell("second look", 1)

    def _wait_if(self, suspects: Iterable[str]) -> None:
        if suspects:
            self._pace.sleep(self._pace.grace_s)


def _at_once(reading: Iterable[TokenRows]) -> Iterator[pa.RecordBatch]:
    for given in reading:
        if given.rows is not None:
            for start in range(0, given.rows.num_rows, AT_ONCE):
                yield given.rows.slice(start, AT_ONCE)


def _is_ours(compared: Compared, ours: Mapping[str, int]) -> bool:
    """Whether one of these documents is there because of this audit, and has no row any more or was deleted."""
    return any(
        each in ours and finding.kind in ("extra", "uncorrected")
        for each, finding in compared.findings.items()
    )
