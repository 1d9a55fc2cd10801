"""Writing into Solr whether a challenger disagrees: an atomic update of one field of documents that are there.

Source of the semantics: Solr Reference Guide 9, "Updating Parts of Documents".
"""

from collections.abc import Sequence

from flumen.interceptor.batch import Batch
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.updates import DocumentUpdates

_MUST_EXIST = 1
"""As `_version_`: any version will do, none will not. Else the update would make a document of two fields."""


class SolrAnswers:
    """`flumen.stores.sink.AnswerSink` for Solr: sets `disagreement`. A document that is gone meanwhile stays gone.

    Solr reads, changes and writes the document under one lock, so an image that is stored again at that moment loses
    nothing: it either keeps the answer or comes without one.
    """

    name = "solr"

    def __init__(self, options: SolrOptions) -> None:
        self._updates = DocumentUpdates(options, "answers")

    def connect(self) -> None:
        """Make the client; the images' sink has looked after the index."""
        self._updates.connect()

    def write(self, batch: Batch) -> None:
        """Write the answer to every document that is there."""
        self._updates.send(
            [
                {"id": image.id, "_version_": _MUST_EXIST, "disagreement": {"set": bool(differs)}}
                for image, differs in zip(batch.images, batch.columns["disagreement"], strict=True)
            ]
        )

    def remove(self, ids: Sequence[str]) -> None:
        """Do nothing: an answer is part of its image's document, and goes with it."""

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        self._updates.close()
