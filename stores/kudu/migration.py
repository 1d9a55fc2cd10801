"""Adding to Kudu's tables the columns that workers write and that are not there yet."""

import time
from collections.abc import Iterator, Sequence

from flumen.interceptor.columns import Column
from flumen.stores.kudu.corrections import corrections_table
from flumen.stores.kudu.driver import Driver, open_driver
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.reclassifications import reclassifications_table
from flumen.stores.kudu.run_schema import experiment_runs_table, run_chunks_table, runs_table
from flumen.stores.kudu.schema import Table, all_tables, check, check_what_stays, missing
from flumen.stores.migration import Addition

_POLL_S = 0.1


def every_table(prefix: str, columns: Sequence[Column]) -> tuple[Table, ...]:
    """Return all tables that flumen makes in Kudu, with what the interceptors declare as `columns`."""
    return (
        *all_tables(prefix, columns),
        runs_table(prefix),
        run_chunks_table(prefix),
        experiment_runs_table(prefix),
        corrections_table(prefix),
        reclassifications_table(prefix),
    )


class KuduMigration:
    """`flumen.stores.migration.Migration` for Kudu. `columns` are what the interceptors declare, in order.

    A worker that has a table open goes on without the new columns; one that starts fills them.
    """

    def __init__(self, options: KuduOptions, columns: Sequence[Column]) -> None:
        self._options = options
        self._tables = every_table(options.table_prefix, columns)
        self._driver: Driver | None = None

    def plan(self) -> Sequence[Addition]:
        """Return the columns that are missing, table by table."""
        return [
            Addition("kudu", table.name, column.name, str(column))
            for table, found in list(self._found())
            for column in missing(table, found)
        ]

    def apply(self) -> None:
        """Add them, one after another, and check every table."""
        driver = self._connected()
        for table, found in list(self._found()):
            for column in missing(table, found):
                driver.add_column(table.name, column)
        deadline = time.monotonic() + self._options.timeout_s
        # What somebody else is adding at this moment is not told of before every tablet knows it.
        while self.plan() and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        for table, found in self._found():
            check(table, found)

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        if self._driver is not None:
            driver, self._driver = self._driver, None
            driver.close()

    def _found(self) -> Iterator[tuple[Table, Table]]:
        """Yield each table that exists: as it shall be, and as it is.

        Raises:
            SchemaMismatch: it differs in a way that adding columns does not mend.
        """
        for table in self._tables:
            found = self._connected().describe(table.name)
            if found is not None:
                check_what_stays(table, found)
                yield table, found

    def _connected(self) -> Driver:
        if self._driver is None:
            self._driver = open_driver(self._options)
        return self._driver
