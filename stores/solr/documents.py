"""The documents of an index, to be held against rows of Kudu: read, put in place, and taken out.

A document is only written or deleted where it is still the one that was read, by its `_version_`. Source of the
semantics: Solr Reference Guide 9, "Optimistic Concurrency" and "RealTime Get".
"""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import orjson

from flumen.interceptor.batch import Batch
from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import StoreClosed
from flumen.stores.solr.cells import one_cell, text_cell
from flumen.stores.solr.comparison import differing, readable
from flumen.stores.solr.creation import check_index
from flumen.stores.solr.encoding import CONTENT_TYPE, encode, request_body, requests_of
from flumen.stores.solr.halving import BAD_DOCUMENTS, bad_rows
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.realtime import FORM, VERSION, read_documents
from flumen.stores.solr.schema import UNIQUE_KEY, index_fields
from flumen.stores.solr.server import ErrorResponse, SolrServer, shorten

NOT_THERE = -1
"""As `_version_`: there must be no document of that id."""

_DISAGREEMENT = "disagreement"
"""Whether a challenger disagrees: no column of the images, so it is carried over from document to document."""

_IDS_A_PAGE = 1000


class SolrDocuments:
    """One index. One thread at a time uses it; every method but `connect` and `close` raises `StoreError`.

    Args:
        options: where Solr is.
        columns: what the interceptors declare.
    """

    def __init__(self, options: SolrOptions, columns: Sequence[Column]) -> None:
        self._options = options
        self._fields = index_fields(columns)
        self._open: SolrServer | None = None

    def connect(self) -> None:
        """Open the index, which has to be there.

        Raises:
            StoreUnavailable, StoreRefused: Solr does not answer, or has no such index.
            SchemaMismatch: the index has other fields.
        """
        server = SolrServer(self._options)
        try:
            server.answer(f"{server.index_url}/select", {"q": "*:*", "rows": 0})
            check_index(server, self._fields)
        except BaseException:
            server.close()
            raise
        self._open = server

    def read(self, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return the documents of these images, by id, as they are by now, committed or not."""
        return read_documents(self._server, ids, f"*,{VERSION}")

    def ids(self) -> Iterator[Sequence[str]]:
        """Yield the ids of all documents that queries find, some at a time, in their order."""
        mark, following = "", "*"
        while mark != following:
            mark = following
            body = urlencode(
                {
                    "q": "*:*",
                    "fl": UNIQUE_KEY,
                    "sort": f"{UNIQUE_KEY} asc",
                    "rows": _IDS_A_PAGE,
                    "cursorMark": mark,
                }
            ).encode()
            answer = self._server.answer(f"{self._server.index_url}/select", None, body, FORM)
            following = answer["nextCursorMark"]
            if documents := answer["response"]["docs"]:
                yield [document[UNIQUE_KEY] for document in documents]

    def differing(self, batch: Batch, documents: Sequence[Mapping[str, Any]]) -> list[list[str]]:
        """Return for each row the columns in which its document is not what the row would make."""
        return differing(batch, documents, readable(self._fields))

    def put(self, batch: Batch, documents: Sequence[Mapping[str, Any] | None]) -> dict[int, str]:
        """Write the document of each row in place of the one that was read, None where none was.

        One that was replaced meanwhile stays as it is.

        Returns:
            The reason for each row whose document Solr refuses for good.
        """
        encoded = encode(batch, self._fields)
        whole = [
            _with(content, document) for content, document in zip(encoded.documents, documents, strict=True)
        ]
        rows = [row for row in range(len(batch)) if row not in encoded.refused]
        refused = dict(encoded.refused)

        def send(some: Sequence[int]) -> str | None:
            return self._put([whole[row] for row in some])

        for some in requests_of(rows, whole):
            reason = send(some)
            if reason is not None:
                refused |= bad_rows(some, reason, send)
        return refused

    def remove(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Delete these documents where they are still the ones that were read."""
        for document in documents:  # in one request, one of another version would keep all the others
            wanted = {"delete": {UNIQUE_KEY: document[UNIQUE_KEY], VERSION: document[VERSION]}}
            answer = self._server.ask(f"{self._server.index_url}/update/json", body=orjson.dumps(wanted))
            if isinstance(answer, ErrorResponse) and answer.status != HTTPStatus.CONFLICT:
                raise self._server.store_error(answer)

    def commit(self) -> None:
        """Let queries find what was written so far."""
        self._server.answer(f"{self._server.index_url}/update/json", body=b'{"commit": {}}')

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        if self._open is not None:
            self._open.close()
            self._open = None

    @property
    def _server(self) -> SolrServer:
        if self._open is None:
            raise StoreClosed("the documents in Solr are not connected: call connect() first")
        return self._open

    def _put(self, documents: Sequence[bytes]) -> str | None:
        """Send one request. Return None when all are stored, else why at least one of them is refused."""
        answer = self._server.ask(
            f"{self._server.index_url}/update",
            # Leave out the documents that were replaced meanwhile, and not the rest of the request.
            {"overwrite": "true", "wt": "json", "failOnVersionConflicts": "false"},
            request_body(documents),
            CONTENT_TYPE,
        )
        if not isinstance(answer, ErrorResponse):
            return None
        if answer.status not in BAD_DOCUMENTS:
            raise self._server.store_error(answer)
        return shorten(answer.reason)


def _with(content: bytes, document: Mapping[str, Any] | None) -> bytes:
    """Return a document in CBOR with what it takes the place of, and what it keeps of that."""
    version = NOT_THERE if document is None else document[VERSION]
    more = text_cell(VERSION) + one_cell(Kind.INT64, version)
    if document is not None and document.get(_DISAGREEMENT) is not None:
        more += text_cell(_DISAGREEMENT) + one_cell(Kind.BOOL, document[_DISAGREEMENT])
    return content[:-1] + more + content[-1:]
