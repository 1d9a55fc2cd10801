"""Changing the known label of images in Solr, and with it whether they were classified right.

Source of the semantics: Solr Reference Guide 9, "Updating Parts of Documents" and "RealTime Get".
"""

from collections.abc import Mapping

from flumen.stores.errors import StoreUnavailable
from flumen.stores.solr.encoding import correct
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.realtime import VERSION, read_documents
from flumen.stores.solr.schema import CORRECT, UNIQUE_KEY, index_name
from flumen.stores.solr.updates import DocumentUpdates

_LABEL = index_name("knownlabel")
_READ = (UNIQUE_KEY, VERSION, "prediction", _LABEL, CORRECT.name)
_AT_ONCE = 500
_ROUNDS = 50


class SolrLabels:
    """`flumen.stores.sink.LabelSink` for Solr.

    A document is read as it is by now, committed or not, and changed only where it is still that one: `correct` is made
    of the label and of the prediction, which a worker may replace at the same time. What was replaced is read again.
    """

    name = "solr"

    def __init__(self, options: SolrOptions) -> None:
        self._options = options
        self._updates = DocumentUpdates(options, "labels")

    def connect(self) -> None:
        """Make the client."""
        self._updates.connect()

    def set_labels(self, labels: Mapping[str, int | None]) -> None:
        """Change the documents that are there, until each has its label."""
        ids = list(labels)
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            for _ in range(_ROUNDS):
                some = self._change({image_id: labels[image_id] for image_id in some})
                if not some:
                    break
            else:
                raise StoreUnavailable(
                    f"Solr at {self._options.url}: image {some[0]!r:.80} is stored again and again, faster than it can "
                    "be labelled; give the label again"
                )

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        self._updates.close()

    def _change(self, labels: Mapping[str, int | None]) -> list[str]:
        """Change the documents that have another label; return their ids."""
        updates = []
        for document in read_documents(self._updates.server, list(labels), ",".join(_READ)).values():
            known = labels[document[UNIQUE_KEY]]
            made = {_LABEL: known}
            if "prediction" in document:
                (made[CORRECT.name],) = correct([document["prediction"]], [known])
            changed = {name: {"set": value} for name, value in made.items() if document.get(name) != value}
            if changed:
                updates.append({UNIQUE_KEY: document[UNIQUE_KEY], VERSION: document[VERSION], **changed})
        self._updates.send(updates)
        return [update[UNIQUE_KEY] for update in updates]
