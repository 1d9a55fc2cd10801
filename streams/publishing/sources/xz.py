"""Reading xz within a bound on memory: a file of a few bytes may ask for a dictionary of 4 GiB."""

import lzma
import tarfile
from typing import BinaryIO, Self

_MEMORY_BYTES = 128 * 1024 * 1024
"""`xz -9`, its strongest preset, asks for 65 MiB."""

_CHUNK_BYTES = 65_536
_PADDING = b"\0"


class XzFile:
    """What is packed in a stream: one file of xz after another, as `lzma.LZMAFile` reads them, which has no bound."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._unpacking = _unpacking()

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end.

        Raises:
            LZMAError, EOFError: it is damaged.
            tarfile.ReadError: to unpack it takes too much memory.
        """
        content = b""
        while not content:
            packed = self._stream.read(_CHUNK_BYTES) if self._unpacking.needs_input else b""
            if self._unpacking.eof:
                packed = (self._unpacking.unused_data or self._stream.read(_CHUNK_BYTES)).lstrip(_PADDING)
                if not packed:
                    return b""
                self._unpacking = _unpacking()
            elif self._unpacking.needs_input and not packed:
                raise EOFError("it was cut short")
            try:
                content = self._unpacking.decompress(packed, size)
            except (MemoryError, lzma.LZMAError) as error:
                if isinstance(error, MemoryError) or "limit exceeded" in str(error):
                    raise tarfile.ReadError(
                        f"to unpack it takes more than {_MEMORY_BYTES:,} bytes of memory; pack it anew, by `xz -9` "
                        "or less"
                    ) from error
                raise
        return content

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the stream open: whoever opened it closes it."""


def _unpacking() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY_BYTES)
