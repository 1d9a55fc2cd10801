"""Giving documents in Solr their perceptual hash, and the bands that it is found by.

Source of the semantics: Solr Reference Guide 9, "Updating Parts of Documents" and "RealTime Get".
"""

from collections.abc import Mapping

import numpy as np

from flumen.stores.errors import StoreUnavailable
from flumen.stores.hashes import Hashed
from flumen.stores.solr.alike import HASH, check_hashes
from flumen.stores.solr.bands import hash_bands
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.realtime import VERSION, read_documents
from flumen.stores.solr.schema import HASH_BANDS, UNIQUE_KEY
from flumen.stores.solr.updates import DocumentUpdates

_READ = (UNIQUE_KEY, VERSION, "sha256", HASH)
_ROUNDS = 50


class SolrHashes:
    """`flumen.stores.hashes.HashSink` for Solr.

    A document is read as it is by now, committed or not, and changed only where it is still that one. What was replaced
    meanwhile is read again: it has a hash of its own by then, or is of another image.
    """

    name = "solr"

    def __init__(self, options: SolrOptions) -> None:
        self._options = options
        self._updates = DocumentUpdates(options, "hashes")

    def connect(self) -> None:
        """Make the client, and look whether the index has hashes.

        Raises:
            SchemaMismatch: it has none.
        """
        if not self._updates.connect():
            return
        server = self._updates.server
        try:
            check_hashes(server.read_schema() or {"fields": ()}, server.index_url)
        except BaseException:
            self._updates.close()
            raise

    def set_hashes(self, hashes: Mapping[str, Hashed]) -> int:
        """Change the documents that are there."""
        changed: set[str] = set()
        for _ in range(_ROUNDS):
            some = self._change(hashes)
            changed |= some
            if not some:
                return len(changed)
        raise StoreUnavailable(
            f"Solr at {self._options.url}: image {next(iter(changed))!r:.80} is stored again and again, faster than "
            "it can be given a hash; run this again"
        )

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        self._updates.close()

    def _change(self, hashes: Mapping[str, Hashed]) -> set[str]:
        """Change the documents that have no hash; return their ids."""
        found = read_documents(self._updates.server, list(hashes), ",".join(_READ))
        wanted = {
            image_id: document
            for image_id, document in found.items()
            if document.get(HASH) is None and document.get("sha256") == hashes[image_id].sha256
        }
        if not wanted:
            return set()
        values = [hashes[image_id].hash_ for image_id in wanted]
        bands = hash_bands(np.array(values, dtype=np.int64)).astype(str).tolist()
        updates = [
            {
                UNIQUE_KEY: image_id,
                VERSION: document[VERSION],
                HASH: {"set": value},
                HASH_BANDS.name: {"set": terms},
            }
            for (image_id, document), value, terms in zip(wanted.items(), values, bands, strict=True)
        ]
        self._updates.send(updates)
        return set(wanted)
