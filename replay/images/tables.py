"""The seam between what looks back and the tables: scans in tokens. `KuduReader` is one; this module has its twin."""

import json
import operator
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from flumen.stores.errors import StoreRefused
from flumen.stores.kudu import Predicate, TokenRows

_COMPARE = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class ScannedTables(Protocol):
    """Tables that are scanned in tokens; `flumen.stores.kudu.KuduReader` says what each method does."""

    def schema(self, table: str) -> pa.Schema:
        """Return the columns of a table."""

    def scan_tokens(
        self,
        table: str,
        columns: Sequence[str],
        predicates: Sequence[Predicate] = (),
        snapshot_us: int | None = None,
    ) -> Sequence[bytes]:
        """Cut a scan into tokens, all of which read the table as it was at that time."""

    def read_tokens(
        self, table: str, columns: Sequence[str], tokens: Mapping[int, bytes], threads: int
    ) -> Generator[TokenRows, None, None]:
        """Read the rows of these tokens, each under a number."""


class MemoryTables:
    """Tables in memory, which do not change; a token reads `token_rows` of one, in batches of `batch_rows`."""

    def __init__(self, tables: Mapping[str, pa.Table], token_rows: int = 100, batch_rows: int = 30) -> None:
        self._tables = tables
        self._token_rows = token_rows
        self._batch_rows = batch_rows

    def schema(self, table: str) -> pa.Schema:
        """Return the columns of a table."""
        return self._table(table).schema

    def scan_tokens(
        self,
        table: str,
        columns: Sequence[str],  # noqa: ARG002
        predicates: Sequence[Predicate] = (),
        snapshot_us: int | None = None,  # noqa: ARG002
    ) -> Sequence[bytes]:
        """Cut a scan into tokens."""
        tests = [(each.column, each.operator, each.values) for each in predicates]
        starts = range(0, self._table(table).num_rows, self._token_rows)
        return [json.dumps([start, tests]).encode() for start in starts]

    def read_tokens(
        self,
        table: str,
        columns: Sequence[str],
        tokens: Mapping[int, bytes],
        threads: int,  # noqa: ARG002
    ) -> Generator[TokenRows, None, None]:
        """Read the rows of these tokens, one after another."""
        for number, token in tokens.items():
            try:
                start, tests = json.loads(token)
            except ValueError as error:
                raise StoreRefused(f"this is no token: {token!r}") from error
            piece = self._table(table).slice(start, self._token_rows)
            kept = [row for row in range(piece.num_rows) if all(_holds(piece, row, *test) for test in tests)]
            rows = piece.take(pa.array(kept, pa.int64())).select(list(columns)).combine_chunks()
            for batch in rows.to_batches(max_chunksize=self._batch_rows):
                yield TokenRows(number, batch)
            yield TokenRows(number, None)

    def _table(self, name: str) -> pa.Table:
        if name not in self._tables:
            raise StoreRefused(f"there is no table {name!r}")
        return self._tables[name]


def _holds(rows: pa.Table, row: int, column: str, operator: str, values: Sequence[Any]) -> bool:
    value = rows.column(column)[row]
    if operator in ("is null", "is not null"):
        return bool(value.is_valid) == (operator == "is not null")
    if not value.is_valid:
        return False
    plain = value.value if pa.types.is_timestamp(value.type) else value.as_py()
    return plain in values if operator == "in" else bool(_COMPARE[operator](plain, values[0]))
