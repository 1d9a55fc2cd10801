"""Changing fields of documents that are there.

Source of the semantics: Solr Reference Guide 9, "Updating Parts of Documents" and "Optimistic Concurrency".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from flumen.stores.errors import StoreClosed
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.pace import CommitPace
from flumen.stores.solr.server import SolrServer


class DocumentUpdates:
    """Changes documents of one index, by a connection of its own. One thread at a time uses it.

    Args:
        options: where Solr is.
        what: what is changed, for people, such as `labels`.
    """

    def __init__(self, options: SolrOptions, what: str) -> None:
        self._options = options
        self._what = what
        self._pace = CommitPace(options.commit_within_ms, options.commit_under_load_ms)
        self._server: SolrServer | None = None

    def connect(self) -> bool:
        """Make the client; say whether there was none."""
        if self._server is not None:
            return False
        self._server = SolrServer(self._options)
        return True

    @property
    def server(self) -> SolrServer:
        """The client.

        Raises:
            StoreClosed: it is not connected.
        """
        if self._server is None:
            raise StoreClosed(f"the {self._what} in Solr are not connected: call connect() first")
        return self._server

    def send(self, updates: Sequence[Mapping[str, Any]]) -> None:
        """Change documents where the `_version_` of each update is that of the document; leave out the others.

        Raises:
            StoreUnavailable, StoreRefused: as `SolrServer.store_error` says.
        """
        server = self.server
        if updates:
            params: dict[str, str | int] = {
                "commitWithin": self._pace.within_ms(len(updates)),
                # Leave out the documents that were replaced meanwhile, and not the rest of the request.
                "failOnVersionConflicts": "false",
            }
            server.answer(f"{server.index_url}/update/json", params, orjson.dumps(updates))

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        if self._server is not None:
            self._server.close()
            self._server = None
