"""Reading IDX, the format of MNIST: a header of big-endian integers, then the values.

The data set's page, http://yann.lecun.com/exdb/mnist/, describes it ("the IDX file format"): two zero
bytes, a byte for the type of value (0x08 = unsigned byte), a byte for the number of dimensions, the size of
each dimension as a 4-byte integer, then the values in row-major order.
"""

import gzip
import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from flumen.models.errors import IdxInvalid

Parsed = TypeVar("Parsed")

GZIP_START = b"\x1f"
MAGIC_BYTES = 4
UNSIGNED_BYTE = 0x08
MAX_DIMENSIONS = 4
MAX_BYTES = 1024**3
"""No more than this is read, whatever the header announces: it bounds what a compressed file may grow to."""


def read_idx(source: str | os.PathLike[str] | IO[bytes], name: str | None = None) -> NDArray[np.uint8]:
    """Return the values of an IDX file of unsigned bytes, plain or compressed by gzip, whatever its name says.

    Args:
        source: a path, or an open binary file (it need not be seekable; it is left open).
        name: what the messages call an open file; its own name, if None.

    Returns:
        uint8 of the shape in the header: n for labels, n x height x width for images. Not writable.

    Raises:
        IdxInvalid: it cannot be read, is not IDX, holds other values than unsigned bytes, or is shorter or
            longer than its header says. The message names the file.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _read(source, name or str(getattr(source, "name", None) or "the stream"), _values)
    path = Path(source)
    try:
        with path.open("rb") as file:
            return _read(file, str(path), _values)
    except OSError as error:
        raise IdxInvalid(f"{path} cannot be read: {error.strerror or error}") from error


def read_shape(stream: IO[bytes]) -> tuple[int, ...]:
    """Return the shape in the header of an open IDX file of unsigned bytes, plain or compressed by gzip.

    Raises:
        IdxInvalid: it has no such header.
    """
    return _read(stream, "the stream", _shape)


def _read(file: IO[bytes], name: str, parse: Callable[[io.BufferedIOBase, str], Parsed]) -> Parsed:
    # Buffered, to look at the first byte without taking it from a stream that may not be able to seek.
    stream = io.BufferedReader(cast(io.RawIOBase, file))
    try:
        if stream.peek(1)[:1] != GZIP_START:
            return parse(stream, name)
        with gzip.GzipFile(fileobj=stream) as plain:
            return parse(plain, name)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise IdxInvalid(f"{name} is compressed by gzip and damaged: {error}") from error
    finally:
        stream.detach()


def _shape(file: io.BufferedIOBase, name: str) -> tuple[int, ...]:
    magic = _exactly(file, MAGIC_BYTES)
    if len(magic) < MAGIC_BYTES or not magic.startswith(b"\0\0"):
        raise IdxInvalid(f"{name} is not an IDX file: it does not start with two zero bytes and a type")
    kind, dimensions = magic[2:]
    if kind != UNSIGNED_BYTE:
        raise IdxInvalid(f"{name} holds values of type 0x{kind:02x}; only unsigned bytes (0x08) are read")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise IdxInvalid(f"{name} says it has {dimensions} dimensions; 1 to {MAX_DIMENSIONS} are read")
    header = _exactly(file, 4 * dimensions)
    if len(header) < 4 * dimensions:
        raise IdxInvalid(f"{name} ends within its header")
    return tuple(int(size) for size in np.frombuffer(header, dtype=">u4"))


def _values(file: io.BufferedIOBase, name: str) -> NDArray[np.uint8]:
    shape = _shape(file, name)
    # Python's integers, because the product of hostile sizes would wrap round in numpy's.
    size = 1
    for length in shape:
        size *= length
    if size > MAX_BYTES:
        raise IdxInvalid(f"{name} announces {size:,} bytes; at most {MAX_BYTES:,} are read")
    content = _exactly(file, size + 1)
    if len(content) != size:
        found = f"{len(content):,}" if len(content) < size else "more"
        raise IdxInvalid(f"{name} announces {size:,} values of shape {shape} and holds {found}")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _exactly(file: io.BufferedIOBase, count: int) -> bytes:
    """Read `count` bytes, fewer only at the end: one `read` of a stream may return less."""
    parts: list[bytes] = []
    while count and (part := file.read(min(count, 1 << 24))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
