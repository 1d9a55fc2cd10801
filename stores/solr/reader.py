"""Looking at what the index holds: documents, counts and facets, by the columns' own names."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pysolr

from flumen.interceptor.columns import Column
from flumen.stores.errors import NoEmbedding, NoSuchImage, StoreClosed, StoreRefused
from flumen.stores.neighbours import SIMILARITY, FoundNeighbours
from flumen.stores.solr.alike import DISTANCE, HASH, Alike, FoundAlike, check_hashes, find_alike
from flumen.stores.solr.complaints import check_names, reworded
from flumen.stores.solr.neighbours import check_vectors, neighbours_of, vector_of
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.schema import VECTORS, column_name, index_name, is_timestamp, named_fields
from flumen.stores.solr.search import EVERYTHING, Found, Search, read_facets, to_index
from flumen.stores.solr.server import SolrServer
from flumen.stores.solr.spans import (
    WORLD,
    Box,
    Heat,
    Spread,
    bins,
    extents,
    heat_facet,
    read_bins,
    read_extents,
    read_heat,
)

_CLOSED = "the Solr reader was closed; make a new one"
_VECTORS = frozenset(column.name for column in VECTORS)
_INTERNAL = frozenset({"_version_", "name_text", "location_map", "words", "hash_bands", "score"}) | _VECTORS


class SolrReader:
    """Reads one index. See `flumen.stores.sink.Reader`; every method raises what `SolrServer.store_error` names.

    Queries are in Solr's own language and see what is committed; `get` sees a document once it is written.
    """

    def __init__(self, options: SolrOptions) -> None:
        self._server = SolrServer(options)
        self._client: pysolr.Solr | None = self._server.open_index()

    def count(self, query: str = EVERYTHING) -> int:
        """Return how many documents match."""
        with self._server.translated():
            return int(self._index.search(query, rows=0).hits)

    def get(self, image_id: str) -> Mapping[str, Any] | None:
        """Return the row of one image, committed or not. Images themselves are not in the index."""
        document = self._find_document(image_id)
        return None if document is None else _row(document)

    def search(
        self, query: str = EVERYTHING, rows: int = 10, sort: str = "id asc", start: int = 0
    ) -> Sequence[Mapping[str, Any]]:
        """Return the rows that match, at most `rows` of them after the first `start`."""
        with self._server.translated():
            answer = self._index.search(query, rows=rows, sort=sort, start=start)
        return [_row(document) for document in answer.docs]

    def find(self, search: Search) -> Found:
        """Ask a question, and return what was found.

        Raises:
            StoreRefused: Solr does not understand it, or there is no such field.
        """
        check_names(search)
        try:
            with self._server.translated():
                answer = self._index.search(**search.parameters())
        except StoreRefused as error:
            raise StoreRefused(reworded(str(error), search)) from error
        rows = [_row(document) for document in answer.docs]
        return Found(int(answer.hits), rows, read_facets(answer.raw_response, search.facets))

    def find_spreads(self, search: Search, columns: Sequence[Column]) -> Sequence[Spread]:
        """Return how the values of these columns spread among what a question asks for; of those that have any.

        A span of a column itself counts for the others alone: its spread shows what is beside the span as well.

        Raises:
            StoreRefused: Solr does not understand the question.
        """
        fields = {search.fields.get(column.name, column.name): column for column in columns}
        found = read_extents(self._counted(search, extents(fields, search.spans)), fields)
        asked = {
            spread.column.name: facet
            for field, spread in found
            if (facet := bins(field, spread, search.spans))
        }
        counted = self._counted(search, {name: facet for name, (facet, _) in asked.items()}) if asked else {}
        return [
            read_bins(spread, asked[name][1], counted[name])
            if (name := spread.column.name) in asked and name in counted
            else spread
            for _, spread in found
        ]

    def find_heat(self, search: Search, box: Box = WORLD) -> Heat:
        """Return how many of the images that a question asks for were taken where, in cells of a box.

        Raises:
            StoreRefused: Solr does not understand the question.
        """
        name = "heat"
        found = self._counted(search, {name: heat_facet(box)}).get(name)
        return read_heat(found) if found else Heat(box, ())

    def _counted(self, search: Search, facets: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = replace(search, rows=0, start=0, facets=()).parameters()
        try:
            with self._server.translated():
                answer = self._index.search(**{**asked, "json.facet": orjson.dumps(facets).decode()})
        except StoreRefused as error:
            raise StoreRefused(reworded(str(error), search)) from error
        counted: Mapping[str, Any] = answer.raw_response["facets"]
        return counted

    def find_alike(self, image_id: str, search: Search, within: int) -> FoundAlike:
        """Return the images that look like one, the nearest first: of those that a question asks for.

        Of the question count `query`, `rows` and `fields`. Images that are not committed yet are not found.

        Raises:
            NoSuchImage: no image has that id, or the one that has it has no hash.
            SchemaMismatch: the index has no hashes yet.
            StoreRefused: Solr does not understand the query, or `within` is out of bounds.
        """
        row = self._document(image_id)
        if row.get(HASH) is None:
            check_hashes(self._server.read_schema() or {}, self._server.index_url)
            raise NoSuchImage(
                f"the image {image_id!r} has no perceptual hash: it is of one shade, has fewer than 8 pixels a side, "
                "or was stored by a worker without the interceptor statistics, or of an earlier version of flumen"
            )
        check_names(search)
        query = to_index(search.query, search.fields)
        asked = Alike(image_id=image_id, hash_=row[HASH], within=within, query=query, rows=search.rows)
        try:
            with self._server.translated():
                found = find_alike(self._index, asked)
        except StoreRefused as error:
            raise StoreRefused(reworded(str(error), search)) from error
        return replace(found, rows=[{DISTANCE: each[DISTANCE], **_row(each)} for each in found.rows])

    def find_neighbours(
        self, image_id: str, query: str = EVERYTHING, rows: int = 10, fields: Mapping[str, str] | None = None
    ) -> FoundNeighbours:
        """As `flumen.stores.neighbours.NeighbourReader`: nearly always the nearest there are, and sometimes the next.

        `fields` as `Search` has them. Images that are not committed yet are not found.

        Raises:
            NoSuchImage, NoEmbedding: as there.
            SchemaMismatch: the index has no fields of vectors yet.
            StoreRefused: Solr does not understand the query.
        """
        document = self._document(image_id)
        search = Search(query=query, rows=rows, fields=fields or {})
        check_names(search)
        name, vector = vector_of(document) or (None, ())
        if name is None:
            check_vectors(self._server.read_schema() or {}, self._server.index_url)
            raise NoEmbedding(
                f"the image {image_id!r} has no embedding: the model that classified it, {document.get('model')}@"
                f"{document.get('model_version')}, names none, or it is all zeros. `flumen train --embedding` makes "
                "a model that has them; --by hash looks for what looks the same"
            )
        asked = neighbours_of(document, name, vector, to_index(query, search.fields), rows)
        try:
            with self._server.translated():
                answer = self._index.search(**asked)
        except StoreRefused as error:
            raise StoreRefused(reworded(str(error), search)) from error
        found = [{SIMILARITY: 2 * each["score"] - 1, **_row(each)} for each in answer.docs]
        return FoundNeighbours(document["model"], document["model_version"], found)

    def facet_counts(self, field: str, query: str = EVERYTHING, limit: int = 1000) -> dict[str, int]:
        """Return how many matching documents have each value of a column or field, the most frequent first.

        Values are text, as Solr writes them: `"7"`, `"true"`. At most `limit` values are returned.
        """
        name = index_name(field)
        facet = {"facet": "true", "facet.field": name, "facet.limit": limit, "facet.mincount": 1}
        with self._server.translated():
            answer = self._index.search(query, rows=0, **facet)
        flat = answer.facets["facet_fields"][name]
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def commit(self) -> None:
        """Make every document written so far visible to queries, and durable; wait until it is."""
        if self._client is None:
            raise StoreClosed(_CLOSED)
        # Not by pysolr: what it asks is answered in XML.
        self._server.answer(f"{self._server.index_url}/update/json", body=b'{"commit": {}}')

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        self._server.close()
        self._client = None

    def _document(self, image_id: str) -> Mapping[str, Any]:
        document = self._find_document(image_id)
        if document is None:
            raise NoSuchImage(f"there is no image {image_id!r} in the index; `flumen search '*:*'` lists ids")
        return document

    def _find_document(self, image_id: str) -> Mapping[str, Any] | None:
        with self._server.translated():
            answer = self._index.search("", search_handler="get", id=image_id)
        document: Mapping[str, Any] | None = answer.raw_response["doc"]
        return document

    @property
    def _index(self) -> pysolr.Solr:
        if self._client is None:
            raise StoreClosed(_CLOSED)
        return self._client


def _row(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document by column name; a named field that it lacks is null."""
    row: dict[str, Any] = {column_name(name): None for name in named_fields() if name not in _INTERNAL}
    for name, value in document.items():
        if name not in _INTERNAL:
            row[column_name(name)] = _microseconds(value) if is_timestamp(name) else value
    return row


def _microseconds(time: str) -> int:
    return int(np.datetime64(time.removesuffix("Z"), "us").astype(np.int64))
