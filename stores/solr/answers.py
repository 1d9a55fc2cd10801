"""Writing into Solr whether a challenger disagrees: an atomic update of one field of documents that are there.

Source of the semantics: Solr Reference Guide 9, "Updating Parts of Documents".
"""

from collections.abc import Sequence

import orjson

from flumen.interceptor.batch import Batch
from flumen.stores.errors import StoreClosed
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.pace import CommitPace
from flumen.stores.solr.server import SolrServer

_MUST_EXIST = 1
"""As `_version_`: any version will do, none will not. Else the update would make a document of two fields."""


class SolrAnswers:
    """`flumen.stores.sink.AnswerSink` for Solr: sets `disagreement`. A document that is gone meanwhile stays gone.

    Solr reads, changes and writes the document under one lock, so an image that is stored again at that moment loses
    nothing: it either keeps the answer or comes without one.
    """

    name = "solr"

    def __init__(self, options: SolrOptions) -> None:
        self._options = options
        self._server: SolrServer | None = None
        self._pace = CommitPace(options.commit_within_ms, options.commit_under_load_ms)

    def connect(self) -> None:
        """Make the client; the images' sink has looked after the index."""
        if self._server is None:
            self._server = SolrServer(self._options)

    def write(self, batch: Batch) -> None:
        """Write the answer to every document that is there."""
        if self._server is None:
            raise StoreClosed("the Solr store is not connected: call connect() first")
        updates = [
            {"id": image.id, "_version_": _MUST_EXIST, "disagreement": {"set": bool(differs)}}
            for image, differs in zip(batch.images, batch.columns["disagreement"], strict=True)
        ]
        params: dict[str, str | int] = {
            "commitWithin": self._pace.within_ms(len(updates)),
            # Leave out the documents that are gone, and not the rest of the request.
            "failOnVersionConflicts": "false",
        }
        url = f"{self._server.index_url}/update/json"
        if updates:
            self._server.answer(url, params, orjson.dumps(updates))

    def remove(self, ids: Sequence[str]) -> None:
        """Do nothing: an answer is part of its image's document, and goes with it."""

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        if self._server is not None:
            self._server.close()
            self._server = None
