"""The runs of experiments in Kudu: rows of plain values, inserted by exactly one."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pyarrow as pa

from flumen.stores.errors import StoreClosed, StoreRefused, StoreUnavailable
from flumen.stores.kudu.driver import ROW_IS_THERE, Change, Driver, Predicate, Write, open_driver
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.plain import plain_rows
from flumen.stores.kudu.rows import build
from flumen.stores.kudu.run_schema import JOINED, experiment_runs_table, run_chunks_table, runs_table
from flumen.stores.kudu.schema import CHUNK_BYTES, Table
from flumen.stores.kudu.writing import ensure_table

log = logging.getLogger(__name__)

Plain = str | int | float | None
Result = TypeVar("Result")

_PAUSE_S = 2.0
_AT_ONCE = 1_000


class KuduRuns:
    """The table `model_runs`. It connects at the first call, and makes its tables at the first row.

    Args:
        options: where Kudu is.
        patience_s: once it has answered, how long a Kudu that does not answer any more is waited for, seconds.
        sleep: waits so many seconds.
    """

    def __init__(
        self, options: KuduOptions, patience_s: float = 0.0, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._options = options
        self._patience_s = patience_s
        self._sleep = sleep
        self._table = runs_table(options.table_prefix)
        self._chunks = run_chunks_table(options.table_prefix)
        self._members = experiment_runs_table(options.table_prefix)
        self._driver: Driver | None = None
        self._is_made = self._has_members = self._has_answered = self._closed = False

    def insert(self, row: Mapping[str, Plain]) -> bool:
        """Add a row; return False, and change nothing, where one of its key is there.

        Raises:
            StoreUnavailable: Kudu does not answer; the row may be there or not.
            StoreRefused: it refuses the row.
            SchemaMismatch: the table has other columns.
        """
        return self._patiently(lambda: self._write(row, "insert"))

    def update(self, row: Mapping[str, Plain], *, patiently: bool = True) -> None:
        """Change the columns that are given, beside the key, of a row that is there. Raises as `insert`.

        `patiently`: a Kudu that does not answer is waited for, as long as that was said; else it is an error at once.
        """
        if patiently:
            self._patiently(lambda: self._write(row, "upsert"))
        else:
            self._write(row, "upsert")

    def rows(
        self, where: Mapping[str, str], columns: Sequence[str], *, patiently: bool = True
    ) -> list[Mapping[str, Plain]]:
        """Return these columns of all rows whose text columns have these values; none where there is no table.

        A TIMESTAMP is an int of microseconds. A column that the table has not is left out. `patiently`: as of `update`.

        Raises:
            StoreUnavailable: Kudu does not answer.
            StoreRefused: a piece of a long text is missing.
        """
        if patiently:
            return self._patiently(lambda: self._read(where, columns))
        return self._read(where, columns)

    def join(self, experiment: str, runs: Sequence[tuple[str, str]]) -> None:
        """Note that runs, by id and fingerprint of their data, are of an experiment that another one computed.

        Raises as `insert`.
        """
        self._patiently(lambda: self._join(experiment, runs))

    def joined(self, experiment: str = "") -> list[tuple[str, str, str]]:
        """Return what `join` has noted, of one experiment or of all: experiment, run and data. Raises as `rows`."""
        return self._patiently(lambda: self._joined(experiment))

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        self._closed = True
        if self._driver is not None:
            driver, self._driver = self._driver, None
            driver.close()

    def _patiently(self, call: Callable[[], Result]) -> Result:
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                result = call()
            except StoreUnavailable as error:
                if not self._has_answered or time.monotonic() >= deadline:
                    raise
                log.warning("waiting for Kudu, and trying again: %s", error)
                self._sleep(_PAUSE_S)
            else:
                self._has_answered = True
                return result

    def _connected(self) -> Driver:
        if self._closed:
            raise StoreClosed("these runs are closed; make new ones")
        if self._driver is None:
            self._driver = open_driver(self._options)
        return self._driver

    def _write(self, row: Mapping[str, Plain], change: Change) -> bool:
        driver = self._connected()
        if not self._is_made:
            for table in (self._chunks, self._table):
                ensure_table(driver, table)
            self._is_made = True
        whole, pieces = self._cut(row)
        # The pieces first: a row never names pieces that are not there.
        driver.apply([Write(self._chunks.name, one) for one in pieces])
        written = _rows(self._table, whole)
        refused = driver.apply([Write(self._table.name, written, change)])[0]
        if not refused:
            return True
        if refused[0].startswith(ROW_IS_THERE):
            return False
        raise StoreRefused(f"Kudu refuses run {row['run_id']!r}: {refused[0]}")

    def _join(self, experiment: str, runs: Sequence[tuple[str, str]]) -> None:
        driver = self._connected()
        if not self._has_members:
            ensure_table(driver, self._members)
            self._has_members = True
        now = time.time_ns() // 1000
        for start in range(0, len(runs), _AT_ONCE):
            some = runs[start : start + _AT_ONCE]
            columns: dict[str, list[Any]] = {
                "experiment": [experiment] * len(some),
                "run_id": [run_id for run_id, _ in some],
                "data_sha256": [data for _, data in some],
                "joined_at": [now] * len(some),
            }
            rows, failures = build(self._members, columns, len(some))
            reasons = [str(each) for each in failures] or list(
                driver.apply([Write(self._members.name, rows)])[0].values()
            )
            if reasons:
                raise StoreRefused(f"Kudu refuses what runs the experiment {experiment!r} has: {reasons[0]}")

    def _joined(self, experiment: str) -> list[tuple[str, str, str]]:
        driver = self._connected()
        if driver.describe(self._members.name) is None:
            return []
        of_it = [Predicate("experiment", "=", (experiment,))] if experiment else []
        batches = driver.scan(self._members.name, list(JOINED), of_it)
        found = (row for batch in batches for row in plain_rows(batch))
        return sorted((str(row["experiment"]), str(row["run_id"]), str(row["data_sha256"])) for row in found)

    def _cut(self, row: Mapping[str, Plain]) -> tuple[dict[str, Plain], list[pa.RecordBatch]]:
        """Return a row without what is too long for a cell, and that in pieces."""
        whole, counts, pieces = dict(row), {}, []
        for name, value in row.items():
            if not isinstance(value, str) or len(content := value.encode()) <= CHUNK_BYTES:
                continue
            parts = [content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES)]
            whole[name], counts[name] = None, len(parts)
            # One to a flush, which bears no more than a few of them.
            pieces += [
                _rows(self._chunks, {"id": _piece_id(row, name), "seq": seq, "data": part})
                for seq, part in enumerate(parts)
            ]
        if counts or "curves" in row:
            whole["pieces"] = json.dumps(counts) if counts else None
        return whole, pieces

    def _read(self, where: Mapping[str, str], columns: Sequence[str]) -> list[Mapping[str, Plain]]:
        driver = self._connected()
        found = driver.describe(self._table.name)
        if found is None:
            return []
        known = {column.name for column in found.columns}
        wanted = list(dict.fromkeys([*self._table.keys, *columns, "pieces"]))
        predicates = [Predicate(name, "=", (value,)) for name, value in where.items()]
        batches = list(driver.scan(self._table.name, [name for name in wanted if name in known], predicates))
        return [self._whole(driver, row, columns) for batch in batches for row in plain_rows(batch)]

    def _whole(self, driver: Driver, row: dict[str, Plain], columns: Sequence[str]) -> Mapping[str, Plain]:
        counts: dict[str, int] = json.loads(str(row.pop("pieces", None) or "{}"))
        for name, count in counts.items():
            if name not in columns:
                continue
            pieces: dict[int, bytes] = {}
            found = [Predicate("id", "=", (_piece_id(row, name),)), Predicate("seq", "<", (count,))]
            for batch in driver.scan(self._chunks.name, ["seq", "data"], found):
                pieces |= {piece["seq"]: piece["data"] for piece in batch.to_pylist()}
            if len(pieces) != count:
                raise StoreRefused(
                    f"run {row['run_id']!r} has {len(pieces)} of the {count} pieces of its {name} in "
                    f"{self._chunks.name}; compute it again under another table prefix"
                )
            row[name] = b"".join(pieces[seq] for seq in range(count)).decode()
        return row


def _piece_id(row: Mapping[str, Plain], name: str) -> str:
    return f"{row['run_id']} {row['data_sha256']} {row['attempt']} {name}"


def _rows(table: Table, row: Mapping[str, Plain | bytes]) -> pa.RecordBatch:
    """Return one row with the columns that are given.

    Raises:
        StoreRefused: a value is not one of its column's type.
    """
    given = replace(table, columns=tuple(column for column in table.columns if column.name in row))
    rows, failures = build(given, {name: [value] for name, value in row.items()}, 1)
    if failures:
        raise StoreRefused(f"a row of {table.name} cannot be written: {failures[0]}")
    return rows
