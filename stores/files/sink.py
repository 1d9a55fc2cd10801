"""Writing micro-batches into files: one a batch, in the folder of the day on which it was written."""

import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from flumen.interceptor.batch import Batch
from flumen.interceptor.columns import Column
from flumen.stores.errors import StoreClosed
from flumen.stores.files.folder import Folder, as_parquet
from flumen.stores.files.options import FilesOptions
from flumen.stores.files.rows import build, build_removals, is_id
from flumen.stores.files.schema import WRITTEN, check_schema, files_schema
from flumen.stores.sink import Failure

_SECOND_NS = 1_000_000_000


class FilesSink:
    """`flumen.stores.sink.Sink` for files. `columns` are what the interceptors declare, in order.

    A batch is stored when its file has its name: one that is written again, since nobody knows whether it was, makes
    a second file, whose rows take the place of the first one's. Every row has a time that is greater than those this
    sink gave before; between sinks, the machines' clocks tell which row is the later one.
    """

    name = "files"

    def __init__(self, options: FilesOptions, columns: Sequence[Column]) -> None:
        self._options = options
        self._columns = tuple(columns)
        self._schema = files_schema(columns, options.images)
        self._suffix = uuid.uuid4().hex[:12]
        self._last_ns = 0
        self._folder: Folder | None = None

    def connect(self) -> None:
        """Make the folder and write down its columns, or check them."""
        folder = Folder(self._options)
        found = folder.read_schema()
        if found is None:
            folder.make()
            folder.create_schema(self._schema)
            found = folder.read_schema() or self._schema
        check_schema(found, self._schema, self._options.address)
        self._folder = folder

    def write(self, batch: Batch) -> Sequence[Failure]:
        """Write one file of every row that is good, and return the others."""
        folder = self._connected()
        if not len(batch):
            return ()
        rows, refused = build(batch, self._columns, self._schema)
        self._add(folder, rows)
        return [Failure(row, reason) for row, reason in sorted(refused.items())]

    def remove(self, batch: Batch) -> None:
        """Write a file that says of these images that they are gone."""
        folder = self._connected()
        ids = [image.id for image in batch.images if is_id(image.id)]
        self._add(folder, build_removals(ids, self._schema))

    def close(self) -> None:
        """Forget the folder. A second call does nothing."""
        self._folder = None

    def _connected(self) -> Folder:
        if self._folder is None:
            raise StoreClosed("the sink of files is not connected: call connect() first")
        return self._folder

    def _add(self, folder: Folder, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        first = max(self._last_ns + 1, time.time_ns())
        self._last_ns = first + rows.num_rows - 1
        position = rows.schema.get_field_index(WRITTEN)
        times = pa.array(range(first, self._last_ns + 1), pa.int64())
        stamped = rows.set_column(position, rows.schema.field(position), times)
        day = datetime.fromtimestamp(first // _SECOND_NS, UTC).date().isoformat()
        folder.add(day, f"{first:020d}-{self._suffix}.parquet", as_parquet(stamped))
