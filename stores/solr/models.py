"""Models in Solr: an index of its own beside that of the images, from the same config set."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.stores.errors import StoreRefused
from flumen.stores.model_index import COLUMNS, MODEL, ModelEntry
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.reader import SolrReader
from flumen.stores.solr.schema import index_fields
from flumen.stores.solr.search import Found, Search
from flumen.stores.solr.sink import SolrSink

SUFFIX = "-models"
"""What the index's name has behind that of the images'."""

FIELDS = {field.column.name: field.name for field in index_fields(COLUMNS)}
"""The index's field of each column."""

_MOST_MODELS = 100_000
_NAMES = frozenset(column.name for column in COLUMNS)


class SolrModelIndex:
    """Models in one index, as `flumen.stores.model_index.ModelIndex` promises. The first use makes the index.

    Every method raises what `SolrServer.store_error` names.
    """

    def __init__(self, options: SolrOptions) -> None:
        own = replace(options, core=f"{options.core}{SUFFIX}")
        self._sink = SolrSink(own, COLUMNS)
        self._sink.connect()
        self._reader = SolrReader(own)

    def put(self, entries: Iterable[ModelEntry]) -> None:
        """Write entries, and wait until they are found.

        Raises:
            StoreRefused: Solr does not take one of them.
        """
        rows = [entry.row for entry in entries]
        columns = {column.name: [row.get(column.name) for row in rows] for column in COLUMNS}
        failures = self._sink.write(Batch([ImageMessage(row["id"], b"", 0) for row in rows], columns))
        self._reader.commit()
        for failure in failures:
            raise StoreRefused(f"Solr does not take {rows[failure.row]['id']}: {failure.reason}")

    def get(self, model: str, version: int) -> Mapping[str, Any] | None:
        """Return the row of a version, or None."""
        row = self._reader.get(f"{model}@{version}")
        return None if row is None else _known(row)

    def ids(self) -> Sequence[str]:
        """Return the ids of all entries, sorted."""
        return [row["id"] for row in self._reader.search(f"{FIELDS['kind']}:{MODEL}", rows=_MOST_MODELS)]

    def find(self, search: Search) -> Found:
        """Ask a question, and return what was found.

        Raises:
            StoreRefused: Solr does not understand it, or there is no such field.
        """
        found = self._reader.find(replace(search, fields=FIELDS))
        return replace(found, rows=[_known(row) for row in found.rows])

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        self._sink.close()
        self._reader.close()


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name in _NAMES and value is not None}
