"""The documents of an index, to be held against rows of Kudu: read, put in place, and taken out.

A document is only written or deleted where it is still the one that was read, by its `_version_`. Source of the
semantics: Solr Reference Guide 9, "Optimistic Concurrency" and "RealTime Get".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from flumen.stores.solr.schema import UNIQUE_KEY, IndexField, index_fields
from flumen.stores.solr.server import ErrorResponse, SolrServer, shorten

NOT_THERE = -1
"""As `_version_`: there must be no document of that id."""

_DISAGREEMENT = "disagreement"
"""Whether a challenger disagrees: no column of the images, so it is carried over from document to document."""

_IDS_A_PAGE = 1000
_LONGEST = 32_766
"""Bytes of a text that Lucene takes as one term."""


@dataclass(frozen=True, slots=True)
class Put:
    """What came of writing documents, by row: why it is refused for good, or the `_version_` it has by now.

    A row whose document was replaced meanwhile is in neither; nor are the neighbours of one that Solr refuses.
    """

    refused: Mapping[int, str]
    versions: Mapping[int, int]


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

    def count(self) -> int:
        """Return how many documents queries find."""
        answer = self._server.answer(f"{self._server.index_url}/select", {"q": "*:*", "rows": 0})
        return int(answer["response"]["numFound"])

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

    def refusals(self, batch: Batch) -> dict[int, str]:
        """Return why the documents of these rows would be refused, as far as that is known without asking Solr."""
        return refusals(batch, self._fields)

    def put(self, batch: Batch, documents: Sequence[Mapping[str, Any] | None]) -> Put:
        """Write the document of each row in place of the one that was read, None where none was.

        One that was replaced meanwhile stays as it is.
        """
        encoded = encode(batch, self._fields)
        whole = [
            _with(content, document) for content, document in zip(encoded.documents, documents, strict=True)
        ]
        # A request that is refused is stored in part, and Solr does not tell the versions of that.
        refused = {**encoded.refused, **_too_long(batch, self._fields)}
        rows = [row for row in range(len(batch)) if row not in refused]
        versions: dict[str, int] = {}

        def send(some: Sequence[int]) -> str | None:
            return self._put([whole[row] for row in some], versions)

        for some in requests_of(rows, whole):
            reason = send(some)
            if reason is not None:
                refused |= bad_rows(some, reason, send)
        ids = [image.id for image in batch.images]
        return Put(
            refused, {row: versions[image_id] for row, image_id in enumerate(ids) if image_id in versions}
        )

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

    def _put(self, documents: Sequence[bytes], versions: dict[str, int]) -> str | None:
        """Send one request. Return None when all are stored, else why at least one of them is refused.

        The versions of those that are stored are added to `versions`, by id.
        """
        answer = self._server.ask(
            f"{self._server.index_url}/update",
            # Leave out the documents that were replaced meanwhile, and not the rest of the request.
            {"overwrite": "true", "wt": "json", "failOnVersionConflicts": "false", "versions": "true"},
            request_body(documents),
            CONTENT_TYPE,
        )
        if not isinstance(answer, ErrorResponse):
            added = answer.get("adds", [])
            versions |= zip(added[::2], added[1::2], strict=True)
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


def refusals(batch: Batch, fields: Sequence[IndexField]) -> dict[int, str]:
    """Return why the documents of rows would be refused, as far as that is known without asking Solr."""
    return {**encode(batch, fields).refused, **_too_long(batch, fields)}


def _too_long(batch: Batch, fields: Sequence[IndexField]) -> dict[int, str]:
    found: dict[int, str] = {}
    for field in fields:
        values = batch.columns.get(field.column.name)
        if field.column.kind not in (Kind.STRING, Kind.STRINGS) or values is None:
            continue
        for row, value in enumerate(values):
            if (longest := _longest(value)) > _LONGEST:
                found[row] = f"{field.column.name} has {longest:,} bytes, and Solr takes {_LONGEST:,}"
    return found


def _longest(value: object) -> int:
    """Return the bytes of a text, or of the longest of several; what is no text is refused elsewhere."""
    texts = [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
    return max((_bytes(text) for text in texts if isinstance(text, str)), default=0)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
