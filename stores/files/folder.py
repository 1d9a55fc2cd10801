"""The folder of the files, on this machine or behind fsspec: each file is there as a whole or not at all.

On this machine a file is written under a hidden name, brought to the disk, and renamed. Elsewhere it is put in one
request, which is how object stores make an object.
"""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from flumen.stores.errors import DriverMissing, StoreError, StoreRefused, StoreUnavailable
from flumen.stores.files.options import FilesOptions

SCHEMA_FILE = "_schema.parquet"
"""Has no rows, and every column that any file has. Its name hides it from those who read the folder as a data set."""
IMAGES = "images"

_FOR_GOOD = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}


class Folder:
    """What is below the URL.

    Every method raises StoreUnavailable where the storage does not answer, is full or is not mounted, and StoreRefused
    where this user may not, or something else is where the folder should be.
    """

    def __init__(self, options: FilesOptions) -> None:
        """Find the driver of the URL's protocol.

        Raises:
            DriverMissing: it is not installed, or there is no such protocol.
        """
        self._options = options
        try:
            with self._translated():
                self._filesystem, root = fsspec.url_to_fs(options.url)
        except (ValueError, ImportError) as error:
            raise DriverMissing(
                f"the files in {options.address} cannot be reached: {error}. Name a folder, or a URL of a protocol "
                "whose fsspec driver is installed"
            ) from error
        self._root = str(root).rstrip("/")
        self._is_local = isinstance(self._filesystem, LocalFileSystem)

    def make(self) -> None:
        """Make the folder where it is not there."""
        with self._translated():
            self._filesystem.makedirs(self._at(IMAGES), exist_ok=True)

    def read_schema(self) -> pa.Schema | None:
        """Return the columns of the files, or None where nothing was ever written."""
        with self._translated():
            self._filesystem.invalidate_cache()
            try:
                content = self._filesystem.cat_file(self._at(SCHEMA_FILE))
            except FileNotFoundError:
                return None
        with self._readable():
            # Without the metadata of its own that Parquet adds to each column.
            return pq.read_schema(pa.BufferReader(content))

    def create_schema(self, schema: pa.Schema) -> None:
        """Write down the columns, unless somebody has done so."""
        with self._translated():
            try:
                self._put(SCHEMA_FILE, as_parquet(schema.empty_table()), replace=False)
            except FileExistsError:
                return

    def replace_schema(self, schema: pa.Schema) -> None:
        """Write down other columns."""
        with self._translated():
            self._put(SCHEMA_FILE, as_parquet(schema.empty_table()))

    def add(self, day: str, name: str, content: bytes) -> None:
        """Put a file of rows into the folder of a day, such as `2026-11-28`."""
        with self._translated():
            if self._is_local:
                # Not the folders above: where they are gone, the disk is not mounted.
                Path(self._at(f"{IMAGES}/day={day}")).mkdir(exist_ok=True)
            self._put(f"{IMAGES}/day={day}/{name}", content)

    def open_rows(self, schema: pa.Schema) -> ds.Dataset:
        """Return all files as one data set."""
        with self._translated(), self._readable():
            self._filesystem.invalidate_cache()
            return ds.dataset(self._at(IMAGES), schema, format="parquet", filesystem=self._filesystem)

    def read(self, rows: ds.Dataset, columns: list[str], where: ds.Expression | None = None) -> pa.Table:
        """Return those columns of the rows that a condition holds for."""
        with self._translated(), self._readable():
            return rows.to_table(columns, filter=where)

    def _put(self, path: str, content: bytes, replace: bool = True) -> None:
        if self._is_local:
            _write_through(Path(self._at(path)), content, replace)
        else:
            self._filesystem.pipe_file(self._at(path), content, mode="overwrite" if replace else "create")

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except pa.ArrowInvalid as error:
            raise StoreRefused(
                self._options.without_login(
                    f"the files in {self._options.url} cannot be read: {error}. Move away what is no file of flumen's"
                )
            ) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (StoreError, ValueError, ImportError):
            raise
        except Exception as error:  # a driver of fsspec's raises what its own library raises
            code = error.errno if isinstance(error, OSError) else None
            kind, advice = (
                (StoreRefused, "Check that this user may write there, and that it is a folder")
                if code in _FOR_GOOD
                else (StoreUnavailable, "Check that it is there, mounted, and not full")
            )
            said = f"the files in {self._options.url} cannot be written or read: {_words(error)}. {advice}"
            raise kind(self._options.without_login(said)) from error


def as_parquet(rows: pa.Table) -> bytes:
    """Return rows as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    texts = [field.name for field in rows.schema if pa.types.is_string(field.type)]
    pq.write_table(rows, sink, compression="zstd", use_dictionary=texts)
    return bytes(sink.getvalue())


def _words(error: Exception) -> Any:
    return (
        error.strerror
        if isinstance(error, OSError) and error.strerror
        else str(error) or type(error).__name__
    )


def _write_through(path: Path, content: bytes, replace: bool) -> None:
    """Write a file by way of a hidden one, which is renamed, or linked where the name must not be taken."""
    hidden = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with hidden.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            hidden.replace(path)
        else:
            path.hardlink_to(hidden)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        hidden.unlink(missing_ok=True)
