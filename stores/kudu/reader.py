"""Looking back at what Kudu holds: by row, by scan, and the images themselves."""

import hashlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from flumen.stores.errors import StoreClosed, StoreRefused, StoreUnavailable
from flumen.stores.kudu.driver import Driver, Predicate, missing_table, open_driver
from flumen.stores.kudu.of_images import finding
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.plain import plain_rows
from flumen.stores.kudu.token_threads import TokenRows, read_tokens


class KuduReader:
    """`flumen.stores.sink.Reader` for Kudu, and more: scans into Arrow, and images restored from their chunks.

    It connects at the first call, and can then raise what `Sink.connect` raises. Tables are named without the
    prefix of the options: `images`, `image_chunks`, `view_chunks`, `predictions`.
    """

    def __init__(self, options: KuduOptions) -> None:
        self._options = options
        self._driver: Driver | None = None
        self._closed = False

    def count(self) -> int:
        """How many images are stored."""
        return sum(rows.num_rows for rows in self.scan("images", ["chunks"]))

    def get(self, image_id: str) -> Mapping[str, Any] | None:
        """Return one image's row by column name, `image` and `image_as_pgm` restored from chunks, or None.

        A BINARY value is bytes, a TIMESTAMP an int of microseconds. Raises as `read_image`.
        """
        row = self._row(image_id, self.schema("images").names)
        if row is not None:
            row["image"] = self._image(row)
            if row["view_chunks"]:
                row["image_as_pgm"] = self._restore("view_chunks", image_id, row["view_chunks"])
        return row

    def read_image(self, image_id: str) -> bytes:
        """Return the image as it was published, byte for byte.

        Raises:
            KeyError: there is no image of that id.
            StoreRefused: a chunk is missing.
            StoreUnavailable: the image is being replaced by another one of its id; read it again.
        """
        return self._image(self._wanted(image_id, ["id", "image", "chunks", "sha256"]))

    def read_view(self, image_id: str) -> bytes:
        """Return what the classifier saw of an image, as binary PGM or PPM.

        Raises:
            KeyError: there is no image of that id.
            StoreRefused: a chunk is missing.
        """
        row = self._wanted(image_id, ["id", "image_as_pgm", "view_chunks"])
        if row["view_chunks"]:
            return self._restore("view_chunks", image_id, row["view_chunks"])
        return bytes(row["image_as_pgm"])

    def tables(self) -> Sequence[str]:
        """Return the names, without the prefix, of the tables whose names start with it."""
        prefix = self._options.table_prefix
        return [name.removeprefix(prefix) for name in self._connected().tables() if name.startswith(prefix)]

    def schema(self, table: str) -> pa.Schema:
        """Return the columns of a table as Arrow sees them; a TIMESTAMP is `timestamp[us]` in UTC.

        Raises:
            StoreRefused: there is no such table.
        """
        name = self._options.table_prefix + table
        found = self._connected().describe(name)
        if found is None:
            raise missing_table(name)
        return found.arrow

    def scan(
        self, table: str, columns: Sequence[str], predicates: Sequence[Predicate] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Read columns of the rows that meet every predicate, tested by Kudu; in batches, in no particular order.

        Raises:
            StoreRefused: there is no such table.
        """
        return self._connected().scan(self._options.table_prefix + table, columns, predicates)

    def scan_tokens(
        self,
        table: str,
        columns: Sequence[str],
        predicates: Sequence[Predicate] = (),
        snapshot_us: int | None = None,
    ) -> Sequence[bytes]:
        """Cut a scan into tokens for `read_tokens`. See `flumen.stores.kudu.driver.Driver.scan_tokens`.

        Raises:
            StoreRefused: there is no such table.
        """
        name = self._options.table_prefix + table
        return self._connected().scan_tokens(name, columns, predicates, snapshot_us)

    def read_tokens(
        self, table: str, columns: Sequence[str], tokens: Mapping[int, bytes], threads: int
    ) -> Generator[TokenRows, None, None]:
        """Read the rows of these tokens, each under a number, by so many threads with connections of their own."""
        name = self._options.table_prefix + table
        return read_tokens(lambda: open_driver(self._options), name, columns, tokens, threads)

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        self._closed = True
        if self._driver is not None:
            driver, self._driver = self._driver, None
            driver.close()

    def _connected(self) -> Driver:
        if self._closed:
            raise StoreClosed("this Kudu reader is closed; make a new one")
        if self._driver is None:
            self._driver = open_driver(self._options)
        return self._driver

    def _row(self, image_id: str, columns: Sequence[str]) -> dict[str, Any] | None:
        for predicate in finding([image_id]):
            for rows in self.scan("images", columns, [predicate]):
                return plain_rows(rows)[0]
        return None

    def _wanted(self, image_id: str, columns: Sequence[str]) -> dict[str, Any]:
        known = self.schema("images").names
        row = self._row(image_id, [name for name in columns if name in known])
        if row is None:
            raise KeyError(image_id)
        return row

    def _image(self, row: Mapping[str, Any]) -> bytes:
        if not row["chunks"]:
            return bytes(row["image"])
        image_id = row["id"]
        content = self._restore("image_chunks", image_id, row["chunks"])
        # Chunks are written before the row that names them: for a moment they are those of the next image.
        if row.get("sha256") not in (None, hashlib.sha256(content).hexdigest()):
            raise StoreUnavailable(
                f"image {image_id!r} is being replaced by another one of that id; read it again in a moment"
            )
        return content

    def _restore(self, table: str, image_id: str, count: int) -> bytes:
        # An image that shrank leaves chunks behind its last one: they are not of this image any more.
        wanted = [Predicate("id", "=", (image_id,)), Predicate("seq", "<", (count,))]
        chunks: dict[int, bytes] = {}
        for rows in self.scan(table, ["seq", "data"], wanted):
            chunks |= {row["seq"]: row["data"] for row in rows.to_pylist()}
        if len(chunks) != count:
            raise StoreRefused(
                f"image {image_id!r} has {len(chunks)} of its {count} {table.replace('_', ' ')} in Kudu; publish "
                "it again to repair it"
            )
        return b"".join(chunks[seq] for seq in range(count))
