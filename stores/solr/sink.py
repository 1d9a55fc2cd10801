"""Writing micro-batches into Solr."""

import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus

import orjson

from flumen.interceptor.batch import Batch
from flumen.interceptor.columns import Column
from flumen.stores.errors import SchemaMismatch, StoreClosed
from flumen.stores.sink import Failure
from flumen.stores.solr.creation import check_index, prepare_index
from flumen.stores.solr.encoding import CONTENT_TYPE, encode, request_body, requests_of
from flumen.stores.solr.halving import BAD_DOCUMENTS, bad_rows
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.pace import CommitPace
from flumen.stores.solr.schema import index_fields
from flumen.stores.solr.server import ErrorResponse, SolrServer, shorten

# What Lucene says of a field that is indexed otherwise than in the documents that are there, to the answer's end: an
# image's id stands before it, and could say anything.
_AT_ODDS_WITH_SCHEMA = re.compile(
    r"possible analysis error: (cannot change field \"\w+\" from [\w ,=]+ to inconsistent [\w ,=]+"
    r"|Inconsistency of field data structures across documents for field \[\w+\] of doc \[\d+\]\. "
    r"[\w ]+: expected '[\w ]+', but it has '[\w ]+'\.)\Z"
)
_COMMIT = b'{"commit": {"openSearcher": false}}'


class SolrSink:
    """Upserts one document an image, under the image's id, as `flumen.stores.sink.Sink` promises."""

    name = "solr"

    def __init__(self, options: SolrOptions, columns: Sequence[Column]) -> None:
        self._options = options
        self._fields = index_fields(columns)
        self._server: SolrServer | None = None
        self._pace = CommitPace(options.commit_within_ms, options.commit_under_load_ms)
        # After an error of Solr's own, a full disk above all, its update log may be torn. Replayed after a crash, it
        # ends at the tear, and what was acknowledged behind it would be gone. A hard commit begins a new log. Whether
        # there was such an error before this sink came, nobody knows: so it begins with one.
        self._log_in_doubt = False

    def connect(self) -> None:
        """Check the index, or create it from the config set, and begin a new update log.

        Raises:
            StoreUnavailable: the server does not answer, or cannot commit now.
            StoreRefused: access is refused, or the config set is not on the server.
            SchemaMismatch: the index has other fields, or its config set is of an earlier version.
        """
        self.close()
        self._server = server = SolrServer(self._options)
        try:
            prepare_index(server, self._fields)
            self._begin_new_log()
        except BaseException:
            self.close()
            raise

    def write(self, batch: Batch) -> Sequence[Failure]:
        """Upsert every row and return those refused for good, in order of rows.

        Raises:
            StoreUnavailable: the server does not answer or asks to wait; write the batch again.
            SchemaMismatch: the index has other fields by now, or fields of other structure, and no row is to blame.
            StoreRefused: the index is gone, or access is refused.
            StoreClosed: not connected.
        """
        if self._server is None:
            raise StoreClosed("the Solr sink is not connected: call connect() first")
        if not len(batch):
            return ()
        encoded = encode(batch, self._fields)
        rows = [row for row in range(len(batch)) if row not in encoded.refused]
        failures = [Failure(row, reason) for row, reason in encoded.refused.items()]
        within_ms = self._pace.within_ms(len(rows))
        for some in requests_of(rows, encoded.documents):
            failures.extend(self._store(some, encoded.documents, within_ms))
        if self._log_in_doubt:
            self._begin_new_log()
        return sorted(failures, key=lambda failure: failure.row)

    def remove(self, batch: Batch) -> None:
        """Delete the documents of these images; they are gone from queries with the next soft commit.

        Raises:
            StoreUnavailable: the server does not answer or asks to wait; remove the batch again.
            StoreRefused: the index is gone, or access is refused.
            StoreClosed: not connected.
        """
        if self._server is None:
            raise StoreClosed("the Solr sink is not connected: call connect() first")
        if len(batch):
            # Not by pysolr: it deletes in XML, which cannot carry every id.
            body = orjson.dumps({"delete": [image.id for image in batch.images]})
            answer = self._server.ask(f"{self._server.index_url}/update/json", body=body)
            if isinstance(answer, ErrorResponse):
                self._doubt_log(answer)
                raise self._server.store_error(answer)

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        if self._server is not None:
            self._server.close()
        self._server = None

    def _store(self, rows: Sequence[int], documents: Sequence[bytes], within_ms: int) -> Iterator[Failure]:
        """Send these rows in one request; where it is refused by an index as it was, find the bad documents."""

        def send(some: Sequence[int]) -> str | None:
            return self._add([documents[row] for row in some], within_ms)

        reason = send(rows)
        if reason is None:
            return
        assert self._server is not None
        # All documents have the same fields: where the index has others by now, none of them is to blame.
        check_index(self._server, self._fields)
        yield from (Failure(row, why) for row, why in bad_rows(rows, reason, send).items())

    def _doubt_log(self, response: ErrorResponse) -> None:
        self._log_in_doubt |= (response.status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR

    def _begin_new_log(self) -> None:
        """Commit hard: what is in the index by then needs no update log any more."""
        assert self._server is not None
        self._server.answer(f"{self._server.index_url}/update/json", body=_COMMIT)
        self._log_in_doubt = False

    def _add(self, documents: Sequence[bytes], within_ms: int) -> str | None:
        """Send one request. Return None when all are stored, else why at least one of them is refused."""
        assert self._server is not None
        answer = self._server.ask(
            f"{self._server.index_url}/update",
            {"commitWithin": within_ms, "overwrite": "true", "wt": "json"},
            request_body(documents),
            CONTENT_TYPE,
        )
        if not isinstance(answer, ErrorResponse):
            return None
        self._doubt_log(answer)
        if answer.status not in BAD_DOCUMENTS:
            raise self._server.store_error(answer)
        if at_odds := _AT_ODDS_WITH_SCHEMA.search(answer.reason):
            check_index(self._server, self._fields)  # which says more of a field of another type
            raise SchemaMismatch(
                f"the documents in the Solr index {self._server.index_url} have fields of another structure than its "
                f"schema says by now: {at_odds[1]}. No image is to blame. Put back the config set, or the core's "
                "property flumen.points, with which the index was made, and reload it, or choose a core of another "
                "name (FLUMEN_SOLR_CORE) and fill it from Kudu with `flumen audit --rebuild`"
            )
        return shorten(answer.reason)
