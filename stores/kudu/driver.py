"""The seam under the Kudu store: what both drivers do, and which of them is taken.

Rows go in and out as Arrow record batches, so a driver never sees an image, only columns.
"""

import importlib.util
import re
import socket
import textwrap
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import pyarrow as pa

from flumen.interceptor.open_files import exhausted
from flumen.stores.addresses import split_addresses
from flumen.stores.errors import StoreError, StoreRefused, StoreUnavailable
from flumen.stores.kudu.options import DEFAULT_PORT, KuduOptions
from flumen.stores.kudu.schema import Table, TableColumn

# A flush of more is split: Kudu's servers refuse requests over 50 MiB.
FLUSH_BYTES = 4 * 1024 * 1024
FLUSH_ROWS = 10_000


# What the tablet server says of one row that it will never take. All else under the same status is said of the whole
# request, such as "Client provided column ... not present in tablet", though the clients put it on every row.
ROW_IS_TO_BLAME = (
    "Invalid argument: value too large for column",
    "Invalid argument: encoded primary key too large",
)
# The one of a row that was to be deleted or updated and is not there, and that of one that was to be inserted and is
# there.
ROW_IS_GONE = "Not found: key not found"
ROW_IS_THERE = "Already present"
# The statuses of a request that a retry does not change.
REFUSALS = ("Invalid argument", "Not authorized", "Not found", "Not supported")
# Those among them that come of a table that is not what it was when it was opened.
TABLE_HAS_CHANGED = ("Invalid argument", "Not found")
# What is said of who asks, anywhere in the status: the Java client calls a master that refuses it no valid one.
NOT_LET_IN = re.compile(r"Not authorized: [^\]\n]*|[^\[\]:\n]*\b(requires authentication|Kerberos)\b[^\]\n]*")
# A request to the masters of which no attempt was answered: none is there any more, or it ends every connection.
ENDS_CONNECTIONS = re.compile(r"Sent: \(master-[^)]*ConnectToMaster.*NETWORK_ERROR", re.DOTALL)
# The Java client tells the whole story of its retries; the beginning says what happened.
STATUS_CHARACTERS = 200


Change = Literal["insert", "update", "upsert", "delete"]


@dataclass(frozen=True, slots=True)
class Write:
    """Rows to be changed in one table, by its columns' names; no array has an offset.

    A row that is to be inserted and is there is refused with `ROW_IS_THERE`. To delete, the key columns suffice; to
    update, those that change beside them. A key that is not there to be deleted or updated is no failure.
    """

    table: str
    rows: pa.RecordBatch
    change: Change = "upsert"


@dataclass(frozen=True, slots=True)
class Predicate:
    """One condition that Kudu's scanner tests.

    `operator` is one of `=`, `<`, `<=`, `>`, `>=`, `in`, `is null`, `is not null`; `values` holds the one operand,
    the members of the list, or nothing: str, bytes, bool, int, float, microseconds as int for a timestamp.
    """

    column: str
    operator: str
    values: tuple[Any, ...] = ()

    def __str__(self) -> str:
        if self.operator == "in":
            return f"{self.column} in ({', '.join(map(repr, self.values))})"
        return " ".join([self.column, self.operator, *map(repr, self.values)])


class Driver(Protocol):
    """One connection to Kudu. One thread at a time uses it; a scan is read to its end before the next call.

    Every method raises StoreUnavailable where the server does not answer, StoreRefused where it refuses for good.
    """

    def tables(self) -> Sequence[str]:
        """Return the names of all tables of the cluster, sorted."""

    def describe(self, table: str) -> Table | None:
        """Return what a table looks like, or None where there is none of that name."""

    def create(self, table: Table) -> None:
        """Create a table, and wait until it can be written. One that exists is left as it is."""

    def add_column(self, table: str, column: TableColumn) -> None:
        """Add a column that may be null to a table; it is null in every row. One of that name is left as it is."""

    def apply(self, writes: Sequence[Write]) -> Sequence[Mapping[int, str]]:
        """Make all changes, in order, in one flush; at most about `FLUSH_BYTES`.

        Returns:
            One mapping for each write: row to reason, for the rows the server refused for good, and for those to be
            inserted that are there already.

        Raises:
            StoreUnavailable: nothing is known about any row.
        """

    def get_ready(self, rows: Write) -> None:
        """Get ready to write such rows, and write none: do what the first ones would have to wait for.

        The table's key is one STRING.
        """

    def scan(
        self, table: str, columns: Sequence[str], predicates: Sequence[Predicate] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Read the columns of all rows that meet every predicate, batch by batch, in no particular order."""

    def scan_tokens(
        self,
        table: str,
        columns: Sequence[str],
        predicates: Sequence[Predicate] = (),
        snapshot_us: int | None = None,
    ) -> Sequence[bytes]:
        """Cut a scan into tokens, which together give what it gives; each is read by a driver of this kind, anywhere.

        With `snapshot_us`, microseconds since the epoch by the servers' clocks, all of them read the table as it was
        then; the server keeps what has changed since for a time (7 days, unless it is told otherwise).
        """

    def read_token(
        self, table: str, columns: Sequence[str], token: bytes
    ) -> Generator[pa.RecordBatch, None, None]:
        """Read the rows of a token of that table and those columns, batch by batch."""

    def find(self, table: str, columns: Sequence[str], keys: Sequence[str]) -> pa.RecordBatch:
        """Read the columns of all rows whose key begins with one of these, one or more; that is a STRING.

        Each is looked up by itself, so that it takes as long in a large table as in a small one. Keys that are not
        there are left out, and the order is no particular one.
        """

    def row_count(self, table: str) -> int | None:
        """Return how many rows a table has, about: the masters know it of a moment ago. None where nobody tells."""

    def close(self) -> None:
        """Release the connection. A second call does nothing."""


def native_is_installed() -> bool:
    """Whether kudu-python can be imported here."""
    found = importlib.util.find_spec("kudu")
    # A folder of that name without code in it, as where one works, is a package of no origin.
    return found is not None and found.origin is not None


def open_driver(options: KuduOptions) -> Driver:
    """Connect with the driver that the options name; `auto` takes `native` where it is installed, else `jvm`.

    Raises:
        DriverMissing: the driver, or what it needs, is not installed.
        StoreUnavailable: no master answers.
    """
    if options.driver == "native" or (options.driver == "auto" and native_is_installed()):
        from flumen.stores.kudu.native import NativeDriver

        return NativeDriver(options)
    from flumen.stores.kudu.jvm import JvmDriver

    return JvmDriver(options)


def check_listening(options: KuduOptions) -> None:
    """Fail at once where no master listens; Kudu's clients try again until their time is over.

    Raises:
        StoreUnavailable: not one of the masters takes a connection.
    """
    refused, nameless = [], []
    for host, port in split_addresses(options.masters, DEFAULT_PORT):
        address = f"{host}:{port}"
        try:
            socket.create_connection((host, port), timeout=options.timeout_s).close()
        except socket.gaierror as error:
            nameless.append(f"there is no host {host!r} ({error.strerror})")
        except OSError as error:
            refused.append(f"{address}: {error}")
        else:
            return
    if nameless and not refused:
        raise StoreUnavailable(f"{'; '.join(nameless)}: correct FLUMEN_KUDU_MASTERS")
    refused += nameless
    raise status_error(f"Network error: {'; '.join(refused)}", options)


def missing_table(table: str) -> StoreRefused:
    """Return the error for a table that is not there (any more)."""
    return StoreRefused(
        f"there is no Kudu table {table!r}; start a worker, it creates its tables, or check the table prefix"
    )


def status_error(status: str, options: KuduOptions) -> StoreError:
    """Turn a Kudu status, written as `Code: message`, into the error to raise."""
    if files := exhausted(status):
        return StoreUnavailable(f"Kudu at {options.masters} cannot be asked: {files}")
    message = textwrap.shorten(status, STATUS_CHARACTERS, placeholder=" ...")
    if forbidden := NOT_LET_IN.search(status):
        return StoreRefused(
            f"Kudu at {options.masters} does not let this user in: {forbidden[0]}. Run as a user of Kudu's --user_acl, "
            "or have this one added to it; where Kudu wants Kerberos, get a ticket with kinit first"
        )
    if status.startswith(REFUSALS):
        refusal = f"Kudu at {options.masters} refused: {message}"
        if status.startswith(TABLE_HAS_CHANGED):
            refusal += (
                ". If a table was altered or dropped meanwhile, start again: a worker that starts checks every table, "
                "names what differs, and creates what is missing"
            )
        return StoreRefused(refusal)
    if ENDS_CONNECTIONS.search(status):
        return StoreUnavailable(
            f"Kudu at {options.masters} ends every connection: {message}. Check that it runs (`flumen status`). If it "
            "does, and wants Kerberos, get a ticket with kinit; if it is no Kudu master, correct FLUMEN_KUDU_MASTERS"
        )
    return StoreUnavailable(
        f"Kudu at {options.masters} does not answer: {message}. Check that it runs (`flumen status`; "
        f"`flumen up` starts one on this machine) and that the address is right"
    )


def _is_gone(status: str) -> bool:
    """Say whether a row that was to be deleted or updated was not there; nothing else answers so."""
    return status.startswith(ROW_IS_GONE)


def row_failures(
    statuses: Sequence[str | None], writes: Sequence[Write], options: KuduOptions
) -> Sequence[Mapping[int, str]]:
    """Turn the server's answer for each row of a flush into what `Driver.apply` returns, a mapping for each write.

    Args:
        statuses: one a row, all writes one after another; None = stored.
        writes: what was flushed.
        options: where the rows went, for the message.

    Raises:
        StoreError: an answer that says nothing about its row: the server is overloaded, the table was altered or is
            gone.
    """
    failures: list[dict[int, str]] = []
    start = 0
    for write in writes:
        answers = enumerate(statuses[start : start + write.rows.num_rows])
        failures.append({row: status for row, status in answers if status and not _is_gone(status)})
        start += write.rows.num_rows
    for write, failed in zip(writes, failures, strict=True):
        known = (*ROW_IS_TO_BLAME, ROW_IS_THERE) if write.change == "insert" else ROW_IS_TO_BLAME
        for status in failed.values():
            if not status.startswith(known):
                raise status_error(status, options)
    return failures
