"""Changing tables of chunks beside whoever stores images: taking out what no row names, and putting it back."""

import pyarrow as pa

from flumen.stores.kudu.driver import Driver, Write, open_driver
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.rows import Part
from flumen.stores.kudu.writing import flush


class KuduChunks:
    """Chunks of images and of what was seen of them. It connects at the first call; one thread uses it.

    Tables are named without the prefix of the options: `image_chunks`, `view_chunks`. Every method raises what
    `flumen.stores.kudu.driver.Driver` does.
    """

    def __init__(self, options: KuduOptions) -> None:
        self._options = options
        self._driver: Driver | None = None

    def remove(self, table: str, keys: pa.RecordBatch) -> None:
        """Delete the chunks of these keys (`id`, `seq`). One that is not there is no failure."""
        self._flush(Write(self._options.table_prefix + table, keys, "delete"))

    def put_back(self, table: str, chunks: pa.RecordBatch) -> None:
        """Insert chunks (`id`, `seq`, `data`). One that is there already stays: it is of whoever has stored it."""
        self._flush(Write(self._options.table_prefix + table, chunks, "insert"))

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        if self._driver is not None:
            driver, self._driver = self._driver, None
            driver.close()

    def _flush(self, write: Write) -> None:
        if self._driver is None:
            self._driver = open_driver(self._options)
        flush(self._driver, [Part(write, range(write.rows.num_rows))])
