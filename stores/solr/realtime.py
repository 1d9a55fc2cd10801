"""Documents as they are by now, committed or not.

Source of the semantics: Solr Reference Guide 9, "RealTime Get".
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from flumen.stores.solr.encoding import requests_of
from flumen.stores.solr.schema import UNIQUE_KEY
from flumen.stores.solr.server import SolrServer

FORM = "application/x-www-form-urlencoded"
VERSION = "_version_"

_FORM_BYTES = 1024 * 1024
"""Solr takes forms of 2 MiB."""


def read_documents(server: SolrServer, ids: Sequence[str], fields: str) -> dict[str, Mapping[str, Any]]:
    """Return these fields, as Solr's `fl` names them, of the documents of images, by id; of those that are there.

    Raises:
        StoreUnavailable, StoreRefused: as `SolrServer.store_error` says.
    """
    # One parameter an id: in a list of them a comma would part an id.
    parameters = [urlencode({UNIQUE_KEY: image_id}).encode() for image_id in ids]
    found: dict[str, Mapping[str, Any]] = {}
    for rows in requests_of(range(len(ids)), parameters, _FORM_BYTES):
        body = b"&".join(parameters[row] for row in rows)
        answer = server.answer(f"{server.index_url}/get", {"fl": fields}, body, FORM)
        # Asked for one, Solr answers otherwise than for several.
        documents = answer["response"]["docs"] if "response" in answer else [answer.get("doc")]
        found |= {document[UNIQUE_KEY]: document for document in documents if document}
    return found
