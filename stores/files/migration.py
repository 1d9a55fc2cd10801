"""Adding columns to the files: those that are there stay as they are, and have nulls in them."""

from collections.abc import Sequence

import pyarrow as pa

from flumen.interceptor.columns import Column
from flumen.stores.files.folder import IMAGES, Folder
from flumen.stores.files.options import FilesOptions
from flumen.stores.files.schema import check_schema, check_what_stays, files_schema, missing
from flumen.stores.migration import Addition


class FilesMigration:
    """`flumen.stores.migration.Migration` for files. `columns` are what the interceptors declare, in order."""

    def __init__(self, options: FilesOptions, columns: Sequence[Column]) -> None:
        self._options = options
        self._schema = files_schema(columns, options.images)

    def plan(self) -> Sequence[Addition]:
        """Return the columns that are missing."""
        found = Folder(self._options).read_schema()
        if found is None:  # the first worker writes them down
            return []
        check_what_stays(found, self._schema, self._options.address)
        return [
            Addition("files", IMAGES, field.name, str(field.type)) for field in missing(found, self._schema)
        ]

    def apply(self) -> None:
        """Write the columns down that are missing by now."""
        folder = Folder(self._options)
        found = folder.read_schema()
        if found is None:
            return
        check_what_stays(found, self._schema, self._options.address)
        if lacking := missing(found, self._schema):
            folder.replace_schema(pa.schema([*found, *lacking]))
        check_schema(folder.read_schema() or found, self._schema, self._options.address)

    def close(self) -> None:
        """Do nothing: no connection is kept."""
