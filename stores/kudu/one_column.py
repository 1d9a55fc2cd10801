"""Changing one column of images that are stored: an update names no other, and makes no row."""

from collections.abc import Sequence
from dataclasses import replace

from flumen.interceptor.batch import ColumnValues
from flumen.stores.errors import StoreClosed, StoreRefused
from flumen.stores.kudu.driver import Driver, Write, missing_table, open_driver
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.rows import Part, build
from flumen.stores.kudu.schema import Table
from flumen.stores.kudu.writing import flush


class OneColumn:
    """One column of the table `images`, by a connection of its own. One thread at a time uses it.

    Args:
        options: where Kudu is.
        column: its name.
        what: what stands in it, for people, such as `label`.
        without: what to say of a table that has no such column, behind a colon or a full stop.
    """

    def __init__(self, options: KuduOptions, column: str, what: str, without: str) -> None:
        self._options = options
        self._column = column
        self._what = what
        self._without = without
        self._opened: tuple[Driver, Table] | None = None

    def connect(self) -> None:
        """Open a driver, and look at the table. A second call does nothing.

        Raises:
            StoreRefused: there is no table of images, or it has no such column.
        """
        if self._opened is not None:
            return
        name = f"{self._options.table_prefix}images"
        driver = open_driver(self._options)
        try:
            self._opened = driver, self._written(driver.describe(name), name)
        except BaseException:
            driver.close()
            raise

    @property
    def opened(self) -> tuple[Driver, Table]:
        """The driver, and the table as it is written here: its key, and the column.

        Raises:
            StoreClosed: it is not connected.
        """
        if self._opened is None:
            raise StoreClosed(f"the {self._what}s in Kudu are not connected; call connect() first")
        return self._opened

    def update(self, ids: Sequence[str], values: ColumnValues) -> None:
        """Give each of these images, of those that are there, its value.

        Raises:
            StoreRefused: Kudu does not take one of them. If that is known beforehand, nothing is written.
        """
        driver, table = self.opened
        rows, refused = build(table, {"id": list(ids), self._column: values}, len(ids))
        refused = refused or flush(driver, [Part(Write(table.name, rows, "update"), range(len(ids)))])
        for row, reason in refused.items():
            raise StoreRefused(f"Kudu refuses the {self._what} of image {ids[row]!r:.80}: {reason}")

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        if self._opened is not None:
            (driver, _), self._opened = self._opened, None
            driver.close()

    def _written(self, table: Table | None, name: str) -> Table:
        if table is None:
            raise missing_table(name)
        columns = tuple(column for column in table.columns if column.key or column.name == self._column)
        if len(columns) != len(table.keys) + 1:
            raise StoreRefused(f"the Kudu table {name!r} has no column {self._column!r}{self._without}")
        return replace(table, columns=columns, others=())
