"""Changing the known label of images in Kudu: one column of rows that are there."""

from collections.abc import Mapping
from dataclasses import replace

from flumen.stores.errors import StoreClosed, StoreRefused
from flumen.stores.kudu.driver import Driver, Write, missing_table, open_driver
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.rows import Part, build
from flumen.stores.kudu.schema import Table
from flumen.stores.kudu.writing import flush

LABEL = "knownlabel"


class KuduLabels:
    """`flumen.stores.sink.LabelSink` for Kudu. An update names this column alone, and makes no row."""

    name = "kudu"

    def __init__(self, options: KuduOptions) -> None:
        self._options = options
        self._driver: Driver | None = None
        self._rows: Table | None = None

    def connect(self) -> None:
        """Open a driver, and look at the table.

        Raises:
            StoreRefused: there is no table of images, or it has no known labels.
        """
        if self._driver is not None:
            return
        name = f"{self._options.table_prefix}images"
        driver = open_driver(self._options)
        try:
            self._rows = _rows(driver.describe(name), name)
        except BaseException:
            driver.close()
            raise
        self._driver = driver

    def set_labels(self, labels: Mapping[str, int | None]) -> None:
        """Update the rows that are there."""
        if self._driver is None or self._rows is None:
            raise StoreClosed("the labels in Kudu are not connected; call connect() first")
        ids = list(labels)
        rows, refused = build(self._rows, {"id": ids, LABEL: list(labels.values())}, len(ids))
        for row, reason in refused.items():
            raise StoreRefused(f"image {ids[row]!r:.80} cannot be labelled: {reason}")
        part = Part(Write(self._rows.name, rows, "update"), range(len(ids)))
        for row, reason in flush(self._driver, [part]).items():
            raise StoreRefused(f"Kudu refuses the label of image {ids[row]!r:.80}: {reason}")

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        if self._driver is not None:
            driver, self._driver = self._driver, None
            driver.close()


def _rows(table: Table | None, name: str) -> Table:
    """Return the table as it is written here: its key, and the label."""
    if table is None:
        raise missing_table(name)
    rows = key_and_column(table, LABEL)
    if rows is None:
        raise StoreRefused(
            f"the Kudu table {name!r} has no column {LABEL!r}: the interceptor `envelope` writes it"
        )
    return rows


def key_and_column(table: Table, name: str) -> Table | None:
    """Return a table as it is where one column of rows is written: its key, and that; None where it has it not."""
    columns = tuple(column for column in table.columns if column.key or column.name == name)
    return replace(table, columns=columns, others=()) if len(columns) == len(table.keys) + 1 else None
