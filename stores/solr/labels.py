"""Changing the known label of images in Solr, and with it whether they were classified right.

Source of the semantics: Solr Reference Guide 9, "Updating Parts of Documents" and "RealTime Get".
"""

from collections.abc import Mapping

import orjson

from flumen.stores.errors import StoreClosed, StoreUnavailable
from flumen.stores.solr.encoding import correct
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.pace import CommitPace
from flumen.stores.solr.realtime import VERSION, read_documents
from flumen.stores.solr.schema import CORRECT, UNIQUE_KEY, index_name
from flumen.stores.solr.server import SolrServer

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
        self._server: SolrServer | None = None
        self._pace = CommitPace(options.commit_within_ms, options.commit_under_load_ms)

    def connect(self) -> None:
        """Make the client."""
        if self._server is None:
            self._server = SolrServer(self._options)

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
        if self._server is not None:
            self._server.close()
            self._server = None

    def _change(self, labels: Mapping[str, int | None]) -> list[str]:
        """Change the documents that have another label; return their ids."""
        if self._server is None:
            raise StoreClosed("the labels in Solr are not connected: call connect() first")
        updates = []
        for document in read_documents(self._server, list(labels), ",".join(_READ)).values():
            known = labels[document[UNIQUE_KEY]]
            made = {_LABEL: known}
            if "prediction" in document:
                (made[CORRECT.name],) = correct([document["prediction"]], [known])
            changed = {name: {"set": value} for name, value in made.items() if document.get(name) != value}
            if changed:
                updates.append({UNIQUE_KEY: document[UNIQUE_KEY], VERSION: document[VERSION], **changed})
        if updates:
            params: dict[str, str | int] = {
                "commitWithin": self._pace.within_ms(len(updates)),
                # Leave out the documents that were replaced meanwhile, and not the rest of the request.
                "failOnVersionConflicts": "false",
            }
            self._server.answer(f"{self._server.index_url}/update/json", params, orjson.dumps(updates))
        return [update[UNIQUE_KEY] for update in updates]
