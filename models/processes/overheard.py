"""What libraries write to standard error while an image is decoded: C code such as libtiff's knows no other place.

For a process that does one thing at a time: whatever is written meanwhile is taken for what that thing says.
"""

import os
import sys
from types import TracebackType

_STDERR = 2
_MOST_BYTES = 64 * 1024
"""What a pipe holds; what is written beyond that is dropped."""


class Overheard:
    """Within `with`, standard error leads here instead of to whoever reads it."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)  # a full pipe must not stop who writes
        self._stderr = os.dup(_STDERR)

    def __enter__(self) -> "Overheard":
        os.dup2(self._write, _STDERR)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stderr.flush()
        os.dup2(self._stderr, _STDERR)

    def taken(self) -> str:
        """Return what was written since the last call."""
        try:
            return os.read(self._read, _MOST_BYTES).decode("utf-8", "backslashreplace").strip()
        except BlockingIOError:
            return ""
