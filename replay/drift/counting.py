"""How often each value of a column stands in each window: counted as rows pass, in memory that does not grow with them.

Numbers are counted by slots of a relative width of 1/128 (as in a histogram over logarithms: Masson, Rim and Lee 2019,
DDSketch, PVLDB 12), which become twice as wide where a column has too many; texts by their values, the first of them.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Rows = NDArray[np.intp]
Table = NDArray[np.int64]

MOST_SLOTS = 1024
"""Slots of a column; a window takes 4 bytes for each."""

_KEYS, _HALF = 1 << 16, 1 << 15
_SIGN = np.int32(0x7FFFFFFF)
_LARGEST = np.finfo(np.float32).max
_MOST_SIGNS = 256
"""Of a text; as many as a label may have, so that none is taken for another."""
_ROOM = 16


@dataclass(frozen=True, slots=True)
class Counted:
    """A column's counts, int64, windows x slots: first what is missing, then `names` in order.

    `bounds` (float64, one a name) says of numbers where each slot begins, ascending; it is None of texts, whose last
    slot is all other values. `others` is the share of the values that are there that it holds.
    """

    counts: Table
    names: tuple[str, ...]
    bounds: NDArray[np.float64] | None
    others: float = 0.0


class Counts(Protocol):
    """Counts of one column."""

    def add(self, windows: Rows, values: pa.Array) -> None:
        """Count values, each in the window of its number."""

    def counted(self, windows: int) -> Counted:
        """Return what was counted in the first windows, so many."""


class _Grid:
    """Counts by window and slot; grows by windows, and by slots as far as it is let."""

    def __init__(self, slots: int) -> None:
        self.table: NDArray[np.int32] = np.zeros((1, slots), np.int32)

    def add(self, windows: Rows, slots: NDArray[np.int64]) -> None:
        most = int(windows.max(initial=0)) + 1
        if most > len(self.table):
            self.table = _padded(self.table, most + _ROOM, 0)
        size = self.table.shape[1]
        found = np.bincount(windows * size + slots, minlength=self.table.size)
        self.table += found.reshape(self.table.shape).astype(np.int32)

    def of(self, windows: int) -> Table:
        if windows > len(self.table):
            self.table = _padded(self.table, windows, 0)
        return self.table[:windows].astype(np.int64)


def _padded(table: NDArray[np.int32], windows: int, slots: int) -> NDArray[np.int32]:
    return np.pad(table, ((0, max(0, windows - len(table))), (0, slots)))


class Numbers:
    """Counts of a column of numbers, by the leading bits of float32: sign, exponent and as much as there is room for.

    In that order of bits, with those of negative numbers turned over, numbers stand as they do by value.
    """

    def __init__(self) -> None:
        self._shift = 0
        self._slots: NDArray[np.int64] = np.full(_KEYS, -1, np.int64)
        self._keys: list[int] = []
        self._grid = _Grid(_ROOM)

    def add(self, windows: Rows, values: pa.Array) -> None:
        """Count values; what is NaN is missing."""
        numbers = values.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
        is_there = ~np.isnan(numbers)
        keys = _keys_of(numbers) >> self._shift
        slots = np.where(is_there, self._slots[keys], 0)
        while (slots < 0).any():
            new = np.unique(keys[slots < 0])
            if len(self._keys) + len(new) < MOST_SLOTS:
                self._take(new)
            else:
                keys = keys >> 1
                self._widen()
            slots = np.where(is_there, self._slots[keys], 0)
        self._grid.add(windows, slots)

    def counted(self, windows: int) -> Counted:
        """Return the counts by value, ascending."""
        order = np.argsort(np.array(self._keys, np.int64))
        keys = np.array(self._keys, np.int64)[order]
        table = self._grid.of(windows)
        bounds = _bounds_of(keys << self._shift)
        names = tuple(f"{bound:.4g}" for bound in bounds)
        return Counted(np.concatenate((table[:, :1], table[:, 1:][:, order]), axis=1), names, bounds)

    def _take(self, new: NDArray[np.int64]) -> None:
        first = len(self._keys) + 1
        self._slots[new] = np.arange(first, first + len(new))
        self._keys += new.tolist()
        lacking = len(self._keys) + 1 - self._grid.table.shape[1]
        if lacking > 0:
            self._grid.table = _padded(self._grid.table, 0, max(lacking, self._grid.table.shape[1]))

    def _widen(self) -> None:
        """Make each slot twice as wide: those of two keys that differ in the last bit become one."""
        former = self._grid.table
        wider = np.array(self._keys, np.int64) >> 1
        order = np.argsort(wider, kind="stable")
        keys, firsts = np.unique(wider[order], return_index=True)
        table = np.zeros_like(former)
        table[:, 0] = former[:, 0]
        table[:, 1 : len(keys) + 1] = np.add.reduceat(former[:, order + 1], firsts, axis=1)
        self._shift += 1
        self._keys = keys.tolist()
        self._slots[:] = -1
        self._slots[keys] = np.arange(1, len(keys) + 1)
        self._grid.table = table


class Binned:
    """Counts of a column of numbers in bins that are given: above one edge, at most the next."""

    def __init__(self, edges: NDArray[np.float64]) -> None:
        """Make one. `edges`: ascending, one more than bins; what lies outside counts in the first or the last bin."""
        self._edges = edges
        self._grid = _Grid(len(edges))

    def add(self, windows: Rows, values: pa.Array) -> None:
        """Count values; what is NaN is missing."""
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        bins = np.searchsorted(self._edges[1:-1], numbers, side="left") + 1
        self._grid.add(windows, np.where(np.isnan(numbers), 0, bins))

    def counted(self, windows: int) -> Counted:
        """Return the counts of the bins."""
        bounds = self._edges[:-1]
        return Counted(self._grid.of(windows), tuple(f"{bound:.4g}" for bound in bounds), bounds)


class Texts:
    """Counts of a column of texts, or of what is counted like them: by the first values that come, then as others."""

    def __init__(self, known: tuple[str, ...] = ()) -> None:
        """Make one. `known`: values to be counted in any case."""
        self._slots: dict[str | None, int] = {None: 0}
        for value in known:
            self._slots.setdefault(value, len(self._slots))
        self._most = max(MOST_SLOTS - 1, len(self._slots) + 1)
        self._grid = _Grid(self._most + 1)

    def add(self, windows: Rows, values: pa.Array) -> None:
        """Count values; of long ones their beginning."""
        texts = values if pa.types.is_string(values.type) else values.cast(pa.string())
        found = texts.dictionary_encode()
        distinct = pc.utf8_slice_codeunits(found.dictionary, 0, _MOST_SIGNS).to_pylist()
        slot_of = np.array([*(self._slot(value) for value in distinct), 0], np.int64)
        indices = found.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
        self._grid.add(windows, slot_of[indices])

    def counted(self, windows: int) -> Counted:
        """Return the counts by value, those that came first at first, and then the others."""
        names = [str(value) for value in self._slots if value is not None]
        table = self._grid.of(windows)
        columns = [*range(len(names) + 1), self._most]
        there = table[:, 1:].sum()
        others = float(table[:, self._most].sum() / there) if there else 0.0
        return Counted(table[:, columns], (*names, "others"), None, others)

    def _slot(self, value: str) -> int:
        slot = self._slots.get(value)
        if slot is None:
            if len(self._slots) >= self._most:
                return self._most
            slot = self._slots[value] = len(self._slots)
        return slot


def _keys_of(numbers: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the first 16 bits of float32 as whole numbers, 0 to 65,535, in the order of the numbers."""
    finite = np.clip(numbers, -_LARGEST, _LARGEST)  # what is wider than a slot of infinity would be no number
    bits = (finite + np.float32(0)).view(np.int32)  # of the two zeros only one is left
    return ((bits ^ ((bits >> 31) & _SIGN)) >> 16).astype(np.int64) + _HALF


def _bounds_of(keys: NDArray[np.int64]) -> NDArray[np.float64]:
    bits = ((keys - _HALF) << 16).astype(np.int32)
    return np.asarray((bits ^ ((bits >> 31) & _SIGN)).view(np.float32), np.float64)
