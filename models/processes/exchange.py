"""Bytes that two processes hand each other: a file in memory that both have open, and that they write to in turns.

Only what is told of it, a few numbers, goes through their connection. So neither waits for the other to read. It
is read and written, not mapped: it may grow and shrink at any time.
"""

import os
import pickle
import weakref
from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from flumen.models.processes import pickling

NOTHING = -1
"""What is noted where nothing is."""

_NOTE_BYTES = 8
_BLOCK_BYTES = 512
"""What stat(2) counts in."""

_KEPT_BYTES = 2 * 1024 * 1024
"""What stays in memory when a request and its answer are through; what was larger is given back."""

_MOST_PIECES = 1024
"""The most pieces that Linux takes in one call (IOV_MAX)."""

_Piece = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many bytes lie in the file: a pickled value, the arrays that belong to it, and images as they are."""

    value: int
    arrays: Sequence[int]
    contents: Sequence[int]

    def encoded(self) -> bytes:
        """Return them as they go through a connection: numbers, and no pickle, which could name code."""
        return array("q", [self.value, len(self.arrays), *self.arrays, *self.contents]).tobytes()


def decoded_sizes(message: bytes) -> Sizes:
    """Return what `Sizes.encoded` made a message of.

    Raises:
        ValueError: it is none.
    """
    value, count, *sizes = array("q", message)
    if min(value, count, *sizes) < 0 or count > len(sizes):
        raise ValueError("these are no sizes")
    return Sizes(value, sizes[:count], sizes[count:])


class Exchange:
    """One end of the file `fd`; `create_exchange` makes one for a process and all that it starts."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._closing = weakref.finalize(self, os.close, fd)

    def note(self, number: int) -> None:
        """Leave a number for whoever looks when this process has ended, or seems to hang."""
        os.pwrite(self.fd, number.to_bytes(_NOTE_BYTES, "little", signed=True), 0)

    def noted(self) -> int:
        """Return the number that was noted last."""
        return int.from_bytes(os.pread(self.fd, _NOTE_BYTES, 0), "little", signed=True)

    def write(self, value: object, contents: Sequence[bytes] = ()) -> Sizes:
        """Write a value that can be pickled, and bytes beside it; what was there may be overwritten.

        Raises:
            OSError: there is no memory for it.
        """
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickling.dumps(value, buffers)
        arrays = [buffer.raw() for buffer in buffers]
        self._put([pickled, *arrays, *contents])
        return Sizes(len(pickled), [array.nbytes for array in arrays], [len(content) for content in contents])

    def read(self, sizes: Sizes, classes: Collection[type] | None = None) -> tuple[Any, list[bytes]]:
        """Return the value and the bytes that the other end wrote, as copies that stay.

        Args:
            sizes: what it said of them.
            classes: what the value may be made of beside built-in types and arrays of numbers; None where the other
                end is the one that reads no hostile bytes, and may send what it likes.

        Raises:
            ValueError: so much does not lie there.
            Exception: it is no such value.
        """
        if sizes.value + sum(sizes.arrays) + sum(sizes.contents) > os.fstat(self.fd).st_blocks * _BLOCK_BYTES:
            raise ValueError("more is told of than lies in the file")
        pickled = bytearray(sizes.value)
        arrays = [bytearray(size) for size in sizes.arrays]
        self._fill([pickled, *arrays])
        value = pickling.loads(pickled, arrays, classes)
        start = _NOTE_BYTES + sizes.value + sum(sizes.arrays)
        together = os.pread(self.fd, sum(sizes.contents), start)
        ends = accumulate(sizes.contents, initial=0)
        return value, [together[here:there] for here, there in pairwise(ends)]

    def shrink(self) -> None:
        """Give back what a large image took, when nobody needs what lies there any more."""
        if os.fstat(self.fd).st_size > _KEPT_BYTES:
            os.ftruncate(self.fd, _KEPT_BYTES)

    def close(self) -> None:
        """Close this end; it closes by itself where nobody has it any more. A second call does nothing."""
        self._closing()

    def _put(self, pieces: Sequence[_Piece]) -> None:
        at = _NOTE_BYTES
        for start in range(0, len(pieces), _MOST_PIECES):
            some = pieces[start : start + _MOST_PIECES]
            size = sum(map(len, some))
            if os.pwritev(self.fd, some, at) != size:
                raise OSError(
                    "there is no memory left for what two processes share. Make room on this machine"
                )
            at += size

    def _fill(self, pieces: Sequence[bytearray]) -> None:
        at = _NOTE_BYTES
        for start in range(0, len(pieces), _MOST_PIECES):
            at += os.preadv(self.fd, pieces[start : start + _MOST_PIECES], at)


def create_exchange() -> Exchange:
    """Make the file, with nothing noted.

    Raises:
        OSError: there is no memory for it.
    """
    exchange = Exchange(os.memfd_create("flumen"))
    exchange.note(NOTHING)
    return exchange
