"""Looking at what the files hold: of the rows with one id the last that was written, unless it is a removal."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flumen.stores.errors import StoreClosed
from flumen.stores.files.folder import Folder
from flumen.stores.files.options import FilesOptions
from flumen.stores.files.schema import OF_FILES, REMOVED, WRITTEN


class FilesReader:
    """Reads one folder. See `flumen.stores.sink.Reader`; every method raises what `Folder` names, and `StoreClosed`.

    What it is asked for is read from all files: for more than a look, use DuckDB or Spark on them.
    """

    def __init__(self, options: FilesOptions) -> None:
        self._folder: Folder | None = Folder(options)

    def count(self) -> int:
        """Return how many images are stored."""
        return int(self.table(["id"]).num_rows)

    def get(self, image_id: str) -> Mapping[str, Any] | None:
        """Return one image's row, or None."""
        rows = self._newest(None, pc.field("id") == image_id)
        return _plain(rows).to_pylist()[0] if rows.num_rows else None

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return every image's row, in these columns or in all; in no order.

        Raises:
            KeyError: there is no such column.
        """
        return self._newest(columns, None)

    def close(self) -> None:
        """Let go of the folder. A second call does nothing."""
        self._folder = None

    def _newest(self, columns: Sequence[str] | None, where: pc.Expression | None) -> pa.Table:
        if self._folder is None:
            raise StoreClosed("the reader of files was closed; make a new one")
        schema = self._folder.read_schema()
        if schema is None:
            return pa.table({name: pa.array([], pa.null()) for name in columns or ["id"]})
        wanted = [name for name in schema.names if name not in OF_FILES] if columns is None else list(columns)
        for name in wanted:
            schema.field(name)
        read = list(dict.fromkeys([*wanted, "id", *OF_FILES]))
        rows = self._folder.read(self._folder.open_rows(schema), read, where)
        newest = rows.sort_by([(WRITTEN, "descending")])
        newest = newest.append_column("row", pa.array(range(newest.num_rows), pa.int64()))
        first = (
            newest.select(["id", REMOVED, "row"])
            .group_by("id", use_threads=False)
            .aggregate([(REMOVED, "first"), ("row", "first")])
        )
        kept = first.filter(pc.invert(first[f"{REMOVED}_first"]))
        return newest.select(wanted).take(kept["row_first"])


def _plain(rows: pa.Table) -> pa.Table:
    """Return the rows with timestamps as int64 microseconds."""
    fields = [pa.field(f.name, pa.int64()) if pa.types.is_timestamp(f.type) else f for f in rows.schema]
    return rows.cast(pa.schema(fields))
