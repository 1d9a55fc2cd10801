"""The ids of many images: in a file of Arrow's, mapped, so that they take no memory until one is asked for."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_SCHEMA = pa.schema([pa.field("id", pa.large_string(), nullable=False)])
_PIECE_ROWS = 65_536


class StoredIds(Sequence[str]):
    """A sequence of ids over an Arrow column."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    @classmethod
    def open(cls, path: Path, count: int) -> "StoredIds":
        """Map a file.

        Raises:
            OSError, pa.ArrowException: it cannot be read.
            ValueError: it holds another number of ids.
        """
        with pa.memory_map(str(path)) as file:
            column = pa.ipc.open_file(file).read_all().column(0)
        if len(column) != count:
            raise ValueError(f"{path.name} has {len(column)} ids in place of {count}")
        return cls(column)

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            values: list[str] = self._column.take(pa.array(range(len(self))[index], pa.int64())).to_pylist()
            return values
        return str(self._column[int(range(len(self))[index])])


def id_array(ids: Iterable[str]) -> pa.Array:
    """Return ids as Arrow keeps them; what is no Unicode is replaced."""
    texts = ids if isinstance(ids, list) else list(ids)
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:
        return pa.array([each.encode("utf-8", "replace").decode() for each in texts], pa.large_string())


def write_ids(file: IO[bytes], ids: pa.ChunkedArray, rows: NDArray[np.int64]) -> None:
    """Write the ids of these rows, in order."""
    with pa.ipc.new_file(file, _SCHEMA) as target:
        for start in range(0, len(rows), _PIECE_ROWS):
            chosen = ids.take(pa.array(rows[start : start + _PIECE_ROWS]))
            target.write_table(pa.Table.from_arrays([chosen], schema=_SCHEMA))
