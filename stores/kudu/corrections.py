"""The corrections in Kudu: a table whose keys are numbers without a gap."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import pyarrow as pa

from flumen.stores.corrections import ERASED, SCHEMA, Correction
from flumen.stores.errors import StoreClosed, StoreRefused
from flumen.stores.kudu.driver import ROW_IS_THERE, Change, Driver, Predicate, Write, open_driver
from flumen.stores.kudu.of_images import is_text
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.plain import plain_rows
from flumen.stores.kudu.rows import build
from flumen.stores.kudu.schema import Table, TableColumn
from flumen.stores.kudu.writing import ensure_table

_KEY_DIGITS = 16
_AT_ONCE = 1000
_FEW = 100
"""Where more than these are new, the table is scanned rather than asked row by row."""
_PAGE = 10_000
"""So many are in memory at a time while all are read."""
_FARTHEST = 1_000_000
"""What stands so far behind the last one was not left there by an append."""

_COLUMNS = {
    "id": "string",
    "kind": "string",
    "knownlabel": "int32",
    "actor": "string",
    "reason": "string",
    "corrected_at": "unixtime_micros",
    "done_at": "unixtime_micros",
    "schema": "int32",
}


def corrections_table(prefix: str) -> Table:
    """Return the table `corrections`: a row for each, under its number in digits of equal length.

    Not under the image's id: then each batch would have to ask for a thousand ids, and not for one number.
    """
    return Table(
        f"{prefix}corrections",
        (
            TableColumn("sequence", "string", nullable=False, key=True),
            *(TableColumn(name, kind) for name, kind in _COLUMNS.items()),
        ),
    )


class KuduCorrections:
    """`flumen.stores.corrections.CorrectionLog` in Kudu, by a connection of its own.

    Numbers are given by inserting, which Kudu refuses where one is taken: each number has one correction, whoever
    appends at the same time.
    """

    name = "kudu"

    def __init__(self, options: KuduOptions) -> None:
        self._options = options
        self._table = corrections_table(options.table_prefix)
        self._driver: Driver | None = None
        self._end = 1
        """All numbers before this one were seen."""

    def connect(self) -> None:
        """Open a driver; make the table that is missing."""
        if self._driver is not None:
            return
        driver = open_driver(self._options)
        try:
            ensure_table(driver, self._table)
        except BaseException:
            driver.close()
            raise
        self._driver = driver

    def append(self, corrections: Sequence[Correction]) -> Sequence[Correction]:
        """Insert the corrections behind the last one. See `flumen.stores.corrections.CorrectionLog.append`."""
        _rows(self._table, [replace(each, sequence=1) for each in corrections])  # refused before any is there
        appended: list[Correction] = []
        waiting = list(corrections)
        self.close_gaps()
        while waiting:
            self._read_on()
            given = [
                replace(each, sequence=number)
                for number, each in enumerate(waiting[:_AT_ONCE], start=self._end)
            ]
            taken = self._insert(given)
            # One that was taken is there as well: nothing is missing up to the last of these numbers.
            self._end = given[-1].sequence + 1
            appended += [each for row, each in enumerate(given) if row not in taken]
            waiting = [waiting[row] for row in sorted(taken)] + waiting[_AT_ONCE:]
        return appended

    def read_from(self, sequence: int) -> Iterator[Correction]:
        """Read on until a number is not there. See `flumen.stores.corrections.CorrectionLog.read_from`.

        The number that ends it was asked for by itself: of a scan it is not known what it sees of what is inserted
        meanwhile.
        """
        if not self._is_there(sequence):
            self._end = max(self._end, sequence)
            return
        start, wanted = sequence, 1
        while len(found := self._look_up(range(start, start + wanted))) == wanted:
            yield from found
            start += wanted
            for page in self._pages(start) if wanted == _FEW else ():
                yield from page
                start += len(page)
            wanted = _FEW
        yield from found
        self._end = max(self._end, start + len(found))

    def close_gaps(self) -> None:
        """Insert what says nothing. See `flumen.stores.corrections.CorrectionLog.close_gaps`.

        A number that is missing may be another's who inserts it at this moment. It gives its correction the next one.
        """
        self._read_on()
        while ahead := self._ahead():
            missing = [number for number in range(self._end, max(ahead)) if number not in ahead][:_AT_ONCE]
            now = time.time_ns() // 1000
            if missing:
                self._insert(
                    [Correction("", ERASED, "", now, done_at=now, sequence=each) for each in missing]
                )
            self._read_on()

    def mark_done(self, corrections: Sequence[Correction], done_at: int) -> None:
        """Update one column."""
        self._update(corrections, {"done_at": done_at})

    def erase(self, corrections: Sequence[Correction]) -> None:
        """Update the columns that say something."""
        self._update(corrections, {"kind": ERASED, "knownlabel": None, "actor": None, "reason": None})

    def of_images(self, ids: Set[str]) -> Sequence[Correction]:
        """Scan the table; Kudu compares the ids."""
        named = sorted(filter(is_text, ids))
        found: list[Correction] = []
        for start in range(0, len(named), _AT_ONCE):
            found += self._scan(Predicate("id", "in", tuple(named[start : start + _AT_ONCE])))
        return sorted(found, key=lambda each: each.sequence)

    def unfinished(self) -> Sequence[Correction]:
        """Scan the table for those without a time."""
        return sorted(self._scan(Predicate("done_at", "is null")), key=lambda each: each.sequence)

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        if self._driver is not None:
            driver, self._driver = self._driver, None
            driver.close()

    @property
    def _connected(self) -> Driver:
        if self._driver is None:
            raise StoreClosed("the corrections in Kudu are not connected; call connect() first")
        return self._driver

    def _is_there(self, sequence: int) -> bool:
        """Ask what each batch asks, and next to always in vain: for the key alone."""
        rows: int = self._connected.find(self._table.name, self._table.keys, [_key(sequence)]).num_rows
        return rows > 0

    def _read_on(self) -> None:
        for _ in self.read_from(self._end):
            pass

    def _ahead(self) -> set[int]:
        """Return the numbers behind the first that is missing; not those of rows that are none of ours."""
        rows = self._connected.scan(
            self._table.name, self._table.keys, [Predicate("sequence", ">=", (_key(self._end),))]
        )
        keys = [key for batch in rows for key in batch.column("sequence").to_pylist()]
        numbers = {int(key) for key in keys if len(key) == _KEY_DIGITS and key.isascii() and key.isdecimal()}
        return {number for number in numbers if number < self._end + _FARTHEST}

    def _pages(self, start: int) -> Iterator[list[Correction]]:
        """Yield what scans find from this number on, without a gap."""
        page: list[Correction] | None = None
        while page is None or len(page) == _PAGE:
            start += len(page or ())
            ends = _key(start), _key(start + _PAGE)
            bounds = [
                Predicate("sequence", operator, (key,))
                for operator, key in zip((">=", "<"), ends, strict=True)
            ]
            page = _without_gap(self._scan(*bounds), start)
            yield page

    def _look_up(self, numbers: range) -> list[Correction]:
        """Return the first of these, up to one that is not there."""
        rows = self._connected.find(self._table.name, self._names, [_key(number) for number in numbers])
        return _without_gap(_corrections(rows), numbers.start)

    def _scan(self, *predicates: Predicate) -> Iterator[Correction]:
        for rows in self._connected.scan(self._table.name, self._names, predicates):
            yield from _corrections(rows)

    @property
    def _names(self) -> list[str]:
        return [column.name for column in self._table.columns if column.name != "schema"]

    def _insert(self, corrections: Sequence[Correction]) -> Mapping[int, str]:
        """Insert rows, and return by position those that are there already."""
        return self._apply(_rows(self._table, corrections), "insert")

    def _update(self, corrections: Sequence[Correction], values: Mapping[str, Any]) -> None:
        table = replace(
            self._table,
            columns=tuple(each for each in self._table.columns if each.name in {"sequence", *values}),
        )
        for start in range(0, len(corrections), _AT_ONCE):
            some = corrections[start : start + _AT_ONCE]
            columns = {name: [value] * len(some) for name, value in values.items()}
            rows, _ = build(table, {"sequence": [_key(each.sequence) for each in some], **columns}, len(some))
            self._apply(rows, "update")

    def _apply(self, rows: pa.RecordBatch, change: Change) -> Mapping[int, str]:
        (refused,) = self._connected.apply([Write(self._table.name, rows, change)])
        for row, reason in refused.items():
            if not reason.startswith(ROW_IS_THERE):
                raise StoreRefused(f"Kudu refuses correction {rows.column('sequence')[row]}: {reason}")
        return refused


def _key(sequence: int) -> str:
    return f"{sequence:0{_KEY_DIGITS}d}"


def _rows(table: Table, corrections: Sequence[Correction]) -> pa.RecordBatch:
    """Return corrections as rows.

    Raises:
        StoreRefused: one of them has what Kudu does not take.
    """
    columns: dict[str, list[Any]] = {
        name: [getattr(each, name) for each in corrections] for name in _COLUMNS if name != "schema"
    }
    columns["sequence"] = [_key(each.sequence) for each in corrections]
    columns["schema"] = [SCHEMA] * len(corrections)
    rows, refused = build(table, columns, len(corrections))
    for row, reason in refused.items():
        raise StoreRefused(
            f"the correction of image {corrections[row].id[:80]!r} cannot be written: {reason}"
        )
    return rows


def _without_gap(corrections: Iterable[Correction], start: int) -> list[Correction]:
    """Return them in order, from this number on up to the first that is missing."""
    ordered = sorted(corrections, key=lambda each: each.sequence)
    return [each for number, each in enumerate(ordered, start) if each.sequence == number]


def _corrections(rows: pa.RecordBatch) -> list[Correction]:
    return [
        Correction(
            **{
                **row,
                "sequence": int(row["sequence"]),
                "actor": row["actor"] or "",
                "reason": row["reason"] or "",
            }
        )
        for row in plain_rows(rows)
    ]
