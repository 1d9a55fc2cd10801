"""Kudu's tables as DuckDB scans them: what it asks for goes to Kudu, and what came back is counted."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from flumen.replay.errors import NoSuchMoment
from flumen.replay.sql.pushdown import push_down
from flumen.stores.errors import StoreError, StoreRefused
from flumen.stores.kudu import KuduReader, Predicate

TABLES = (
    "images",
    "predictions",
    "image_chunks",
    "view_chunks",
    "model_runs",
    "experiment_runs",
    "corrections",
)
"""What may be there, in the order in which it is told; one that is not there is left out."""

_BEFORE_HISTORY = "ancient history mark"


@dataclass(slots=True)
class Scan:
    """One scan that a query made: what was pushed down to Kudu, and how much came back: rows, bytes as Arrow."""

    table: str
    columns: Sequence[str]
    predicates: Sequence[Predicate]
    rows: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """How tables are read: as they were at a moment (microseconds since the epoch; None: now), by so many threads."""

    reader: KuduReader
    at_us: int | None
    threads: int

    def batches(self, scan: Scan) -> Generator[pa.RecordBatch, None, None]:
        """Yield the rows of a scan.

        Raises:
            NoSuchMoment: Kudu's history does not reach back to the moment.
            StoreError: Kudu cannot be read.
        """
        if self.at_us is None and self.threads == 1:
            yield from self.reader.scan(scan.table, scan.columns, scan.predicates)
            return
        try:
            tokens = self.reader.scan_tokens(scan.table, scan.columns, scan.predicates, self.at_us)
            numbered = dict(enumerate(tokens))
            with closing(
                self.reader.read_tokens(scan.table, scan.columns, numbered, self.threads)
            ) as reading:
                yield from (given.rows for given in reading if given.rows is not None)
        except StoreRefused as error:
            if _BEFORE_HISTORY not in str(error):
                raise
            raise NoSuchMoment(
                "Kudu's history does not reach back to that moment: it keeps what has changed for 7 days, unless its "
                "--tablet_history_max_age_sec says otherwise. Ask for a later one"
            ) from error


class KuduTable(ds.Dataset):  # type: ignore[misc]  # pyarrow has no types
    """A Kudu table as DuckDB scans it: it asks a pyarrow data set for columns and a filter."""

    def __init__(self, reading: Reading, name: str, schema: pa.Schema) -> None:
        self._reading = reading
        self._name = name
        self._schema = schema
        self.scans: list[Scan] = []
        self.failure: StoreError | NoSuchMoment | None = None
        self._open: list[_ReadAhead] = []

    @property
    def schema(self) -> pa.Schema:
        """The table's columns."""
        return self._schema

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> ds.Scanner:  # noqa: A002
        """Return the rows of these columns that pass the filter. DuckDB relies on the filter: it tests no row again."""
        wanted = list(self._schema.names if columns is None else columns)
        pushed = push_down(filter, self._schema)
        scan = Scan(self._name, list(dict.fromkeys([*wanted, *pushed.columns])), pushed.predicates)
        self.scans.append(scan)
        schema = pa.schema([self._schema.field(name) for name in scan.columns])
        reading = _ReadAhead(self._batches(scan))
        self._open.append(reading)
        return ds.Scanner.from_batches(reading, schema=schema, columns=wanted, filter=filter)

    def close(self) -> None:
        """End the scans that the query has left before their ends, as one with LIMIT does."""
        for reading in self._open:
            reading.close()

    def _batches(self, scan: Scan) -> Generator[pa.RecordBatch, None, None]:
        try:
            with closing(self._reading.batches(scan)) as batches:
                for batch in batches:
                    scan.rows += batch.num_rows
                    scan.bytes += batch.nbytes
                    yield batch
        except (StoreError, NoSuchMoment) as error:
            self.failure = error
            raise


class _ReadAhead(Iterator[pa.RecordBatch]):
    """The batches of one scan, read ahead by a thread of Arrow's, which outlives the query and knows no end of it.

    A reader that is closed under that thread lets it wait for ever, and with it the process that ends.
    """

    def __init__(self, batches: Generator[pa.RecordBatch, None, None]) -> None:
        self._batches = batches
        self._lock = Lock()

    def __next__(self) -> pa.RecordBatch:
        with self._lock:
            return next(self._batches)

    def close(self) -> None:
        """Wait for the batch that is being read, and read no more."""
        with self._lock:
            self._batches.close()


def kudu_tables(reading: Reading) -> Mapping[str, KuduTable]:
    """Return the tables of `TABLES` that are there, by name."""
    there = set(reading.reader.tables())
    return {name: KuduTable(reading, name, reading.reader.schema(name)) for name in TABLES if name in there}
