"""Adding to an index the fields that workers write and that are not there yet.

The schema is a file of the config set (`ClassicIndexSchemaFactory`), so lines go into that file, and the index is
loaded anew; documents stay as they are. SolrCloud takes the file by a request. One server reads it from its disk: it is
written where that disk is this machine's.
"""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flumen.interceptor.columns import Column
from flumen.stores.errors import StoreError, StoreRefused
from flumen.stores.migration import Addition
from flumen.stores.solr.additions import SCHEMA_FILE, SchemaLine, added, lines_to_add
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.schema import CONFIGSET, check_schema, check_what_stays, index_fields
from flumen.stores.solr.server import ErrorResponse, SolrServer


class SolrMigration:
    """`flumen.stores.migration.Migration` for Solr. `columns` are what the interceptors declare, in order.

    A worker that writes meanwhile goes on; the index answers with its old schema until it is loaded.
    """

    def __init__(self, options: SolrOptions, columns: Sequence[Column]) -> None:
        self._options = options
        self._fields = index_fields(columns)
        self._server = SolrServer(options)

    def plan(self) -> Sequence[Addition]:
        """Return the fields that are missing, and those that are copied from them."""
        return [
            Addition("solr", self._options.core, line.name, line.kind)
            for line in self._lines()
            if line.tag in ("field", "dynamicField")
        ]

    def apply(self) -> None:
        """Add them to the config set, load the index anew, and check it."""
        if not self._lines():
            return
        # The file may be newer than the index: a new copy of the config set that was never loaded.
        self._reload()
        lines = self._lines()
        if not lines:
            return
        content = self._server.read_file(SCHEMA_FILE)
        if isinstance(content, ErrorResponse):
            raise self._no_schema_file(content, lines)
        put = self._upload if self._is_cloud else partial(_replace, self._path(content, lines))
        put(added(content, lines))
        try:
            self._reload()
        except StoreError:
            put(content)
            raise
        check_schema(self._server.read_schema() or {}, self._fields, self._server.index_url)

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        self._server.close()

    def _lines(self) -> list[SchemaLine]:
        schema = self._server.read_schema()
        if schema is None:  # the first worker creates it, if this is a Solr
            _ = self._system
            return []
        check_what_stays(schema, self._fields, self._server.index_url)
        return lines_to_add(schema, self._fields)

    @property
    def _is_cloud(self) -> bool:
        return self._system.get("mode") == "solrcloud"

    @cached_property
    def _system(self) -> Mapping[str, Any]:
        system: Mapping[str, Any] = self._ask(f"{self._server.url}/admin/info/system")
        return system

    def _reload(self) -> None:
        collection, core = ("collections", "name"), ("cores", "core")
        what, name = collection if self._is_cloud else core
        self._ask(f"{self._server.url}/admin/{what}", {"action": "RELOAD", name: self._options.core})

    def _upload(self, schema_file: bytes) -> None:
        status = {"action": "CLUSTERSTATUS", "collection": self._options.core}
        cluster = self._ask(f"{self._server.url}/admin/collections", status)["cluster"]
        (collection,) = cluster["collections"].values()  # the core's name may be an alias
        upload = {
            "action": "UPLOAD",
            "name": collection["configName"],
            "filePath": SCHEMA_FILE,
            "overwrite": "true",
        }
        self._ask(f"{self._server.url}/admin/configs", upload, schema_file)

    def _path(self, content: bytes, lines: Sequence[SchemaLine]) -> Path:
        """Return the file that the server reads, where its disk is this machine's.

        Raises:
            StoreRefused: it is another's.
        """
        configset = Path(self._system["solr_home"]) / "configsets" / self._options.config_set
        core = {"action": "STATUS", "core": self._options.core, "indexInfo": "false"}
        status = self._ask(f"{self._server.url}/admin/cores", core)["status"]
        folders = [configset, *(Path(entry["instanceDir"]) for entry in status.values() if entry)]
        paths = (folder / "conf" / SCHEMA_FILE for folder in folders)
        path = next((path for path in paths if _holds(path, content)), None)
        if path is None:
            raise StoreRefused(
                f"the Solr index {self._server.index_url} lacks {_named(lines)}, and its {SCHEMA_FILE} cannot be "
                f"written from here. Copy {CONFIGSET} to {configset} on Solr's machine, or add the lines to the file "
                f"that is there, and run this again:\n{_text(lines)}"
            )
        return path

    def _no_schema_file(self, response: ErrorResponse, lines: Sequence[SchemaLine]) -> Exception:
        if response.status != HTTPStatus.NOT_FOUND:
            return self._server.store_error(response)
        return StoreRefused(
            f"the Solr index {self._server.index_url} lacks {_named(lines)}, and is not made from a {SCHEMA_FILE}. "
            f"Add these with Solr's Schema API, and run this again:\n{_text(lines)}"
        )

    def _ask(self, url: str, params: Mapping[str, str | int] | None = None, body: bytes | None = None) -> Any:
        answer = self._server.ask(url, params, body)
        if isinstance(answer, ErrorResponse):
            raise self._server.store_error(answer)
        return answer


def _holds(path: Path, content: bytes) -> bool:
    """Say whether this is the very file that the server reads: one of this machine's, with the same content."""
    try:
        return path.read_bytes() == content and os.access(path.parent, os.W_OK)
    except OSError:
        return False


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StoreRefused(f"{path} cannot be written: {error.strerror}. Nothing was changed") from error


def _named(lines: Sequence[SchemaLine]) -> str:
    return ", ".join(
        f"{line.name!r} ({line.kind})" for line in lines if line.tag in ("field", "dynamicField")
    )


def _text(lines: Sequence[SchemaLine]) -> str:
    return "\n".join(f"  {line.xml}" for line in lines)
