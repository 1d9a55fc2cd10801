"""Making sure of the index: one that is there is checked, one that is not is created from the config set."""

import io
import time
import zipfile
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from flumen.stores.errors import SchemaMismatch, StoreError, StoreRefused, StoreUnavailable
from flumen.stores.solr.schema import CONFIGSET, IndexField, check_schema, find_field
from flumen.stores.solr.server import ErrorResponse, SolrServer, shorten

_APPEARS_WITHIN_S = 30.0
_REFUSED_FOR_ANOTHER_S = 2.0
"""A creation may be refused because another worker is at it, in many words; then the index appears."""
_POLL_S = 0.1
_PROPERTIES = {"property.flumen.points": "false"}
"""What the schema file asks a core for. One that was made without keeps the points that it has: a field's documents all
have them, or none."""
_WITHOUT_POINTS = "size_bytes"
"""One of the fields that have no points in an index of such properties."""


def prepare_index(server: SolrServer, fields: Sequence[IndexField]) -> None:
    """Create the index where there is none, and check its fields in any case.

    Raises:
        StoreUnavailable: the server does not answer.
        StoreRefused: it is no Solr, access is refused, or the config set is not on it.
        SchemaMismatch: the index has other fields, or the config set that it would be made from is an earlier one.
    """
    schema = server.read_schema()
    if schema is None:
        schema = _create_index(server)
    check_schema(schema, fields, server.index_url)


def check_index(server: SolrServer, fields: Sequence[IndexField]) -> None:
    """Check the fields of an index that was there.

    Raises:
        SchemaMismatch: it has other fields by now.
        StoreUnavailable, StoreRefused: as `SolrServer.store_error` says.
    """
    schema = server.read_schema()
    if schema is not None:
        check_schema(schema, fields, server.index_url)


def _create_index(server: SolrServer) -> dict[str, Any]:
    system = server.ask(f"{server.url}/admin/info/system")
    if isinstance(system, ErrorResponse):
        raise server.store_error(system)
    in_cloud = system.get("mode") == "solrcloud"
    answer = _create_collection(server) if in_cloud else _create_core(server)
    refused = isinstance(answer, ErrorResponse) and not _exists_already(answer)
    deadline = time.monotonic() + (_REFUSED_FOR_ANOTHER_S if refused else _APPEARS_WITHIN_S)
    while True:
        schema, reason = _look(server)
        if schema is not None:
            if not isinstance(answer, ErrorResponse):
                _check_points(server, schema, in_cloud)
            return schema
        if time.monotonic() > deadline:
            raise _creation_error(server, answer) if refused else reason
        time.sleep(_POLL_S)


def _look(server: SolrServer) -> tuple[dict[str, Any] | None, StoreError]:
    """Return the schema, or None and why it is not there. What Solr says of an index in the making may be anything."""
    try:
        schema = server.read_schema()
    except StoreError as error:
        return None, error
    return schema, StoreUnavailable(f"the Solr index {server.index_url} was created, and does not appear")


def _create_core(server: SolrServer) -> Any:
    options = server.options
    params = {"action": "CREATE", "name": options.core, "configSet": options.config_set, **_PROPERTIES}
    return server.ask(f"{server.url}/admin/cores", params)


def _create_collection(server: SolrServer) -> Any:
    options = server.options
    upload = {"action": "UPLOAD", "name": options.config_set, "overwrite": "false"}
    answer = server.ask(f"{server.url}/admin/configs", upload, body=_zipped_configset())
    if isinstance(answer, ErrorResponse) and not _exists_already(answer):
        return answer
    create: dict[str, str | int] = {
        "action": "CREATE",
        "name": options.core,
        "numShards": 1,
        "collection.configName": options.config_set,
        **_PROPERTIES,
    }
    return server.ask(f"{server.url}/admin/collections", create)


def _check_points(server: SolrServer, schema: Mapping[str, Any], in_cloud: bool) -> None:
    """Take an index back that has just been made with points, though it was asked for without.

    Its config set does not know the property. One that does, put in its place later, would turn the fields of an index
    that has documents, and Solr would refuse every document from then on.
    """
    entry = find_field(schema, _WITHOUT_POINTS)
    if entry is None or not entry.get("indexed", True):
        return
    options = server.options
    if in_cloud:
        answer = server.ask(f"{server.url}/admin/collections", {"action": "DELETE", "name": options.core})
    else:  # which leaves the core's folder: something may have been in it before
        answer = server.ask(f"{server.url}/admin/cores", {"action": "UNLOAD", "core": options.core})
    if isinstance(answer, ErrorResponse):
        raise server.store_error(answer)
    place = "by admin/configs?action=UPLOAD&overwrite=true" if in_cloud else "to <Solr home>/configsets"
    raise SchemaMismatch(
        f"the config set {options.config_set!r} on Solr at {server.url} is of an earlier version of flumen, so that "
        f"no index {options.core!r} was made from it. Copy {CONFIGSET} there ({place}; docs/solr.md) and start again, "
        "or create the index yourself without the property flumen.points"
    )


def _exists_already(response: ErrorResponse) -> bool:
    """Tell by the text: the status is 400, 409 or 500, depending on what is there or in the making."""
    return "already" in response.reason.casefold()


def _zipped_configset() -> bytes:
    """Return the config set as SolrCloud takes it: a zip of what lies in `conf`."""
    conf = CONFIGSET / "conf"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(conf.rglob("*")):
            archive.write(path, path.relative_to(conf).as_posix())
    return buffer.getvalue()


def _creation_error(server: SolrServer, response: ErrorResponse) -> StoreError:
    if response.status != HTTPStatus.BAD_REQUEST:
        return server.store_error(response)
    return StoreRefused(
        f"Solr at {server.url} could not create {server.options.core!r}: {shorten(response.reason)}. "
        f"Copy {CONFIGSET} to <Solr home>/configsets/{server.options.config_set} on the server, "
        "or create the index yourself; docs/solr.md says how"
    )
