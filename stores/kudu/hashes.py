"""Giving rows in Kudu their perceptual hash: one column of rows that are there."""

from collections.abc import Iterable, Mapping, Sequence

from flumen.stores.errors import StoreClosed, StoreRefused
from flumen.stores.hashes import Hashed
from flumen.stores.kudu.driver import Driver, Predicate, Write, missing_table, open_driver
from flumen.stores.kudu.labels import key_and_column
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.rows import Part, build
from flumen.stores.kudu.schema import Table
from flumen.stores.kudu.writing import flush

HASH = "perceptual_hash"
_READ = ("id", "sha256", HASH)


class KuduHashes:
    """`flumen.stores.hashes.HashSink` for Kudu. An update names this column alone, and makes no row.

    Kudu does not update on a condition. So the rows are read before, and once more behind the update: a row that was
    replaced in between, and that has the hash of the image before, loses it again, which is to be without one.
    """

    name = "kudu"

    def __init__(self, options: KuduOptions) -> None:
        self._options = options
        self._driver: Driver | None = None
        self._rows: Table | None = None

    def connect(self) -> None:
        """Open a driver, and look at the table.

        Raises:
            StoreRefused: there is no table of images, or it has no hashes.
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

    def set_hashes(self, hashes: Mapping[str, Hashed]) -> int:
        """Update the rows that are there."""
        wanted = [
            image_id
            for image_id, sha256, hash_ in self._stored(hashes)
            if hash_ is None and sha256 == hashes[image_id].sha256
        ]
        self._update(wanted, [hashes[image_id].hash_ for image_id in wanted])
        replaced = [
            image_id
            for image_id, sha256, hash_ in self._stored(wanted)
            if sha256 != hashes[image_id].sha256 and hash_ == hashes[image_id].hash_
        ]
        self._update(replaced, [None] * len(replaced))
        return len(wanted) - len(replaced)

    def close(self) -> None:
        """Release the connection. A second call does nothing."""
        if self._driver is not None:
            driver, self._driver = self._driver, None
            driver.close()

    def _stored(self, ids: Iterable[str]) -> list[tuple[str, str | None, int | None]]:
        driver, rows = self._opened
        wanted = tuple(ids)
        if not wanted:
            return []
        found = driver.scan(rows.name, _READ, [Predicate("id", "in", wanted)])
        return [
            each
            for batch in found
            for each in zip(*(batch.column(name).to_pylist() for name in _READ), strict=True)
        ]

    def _update(self, ids: Sequence[str], hashes: Sequence[int | None]) -> None:
        if not ids:
            return
        driver, table = self._opened
        rows, refused = build(table, {"id": list(ids), HASH: list(hashes)}, len(ids))
        refused |= flush(driver, [Part(Write(table.name, rows, "update"), range(len(ids)))])
        for row, reason in refused.items():
            raise StoreRefused(f"Kudu refuses the hash of image {ids[row]!r:.80}: {reason}")

    @property
    def _opened(self) -> tuple[Driver, Table]:
        if self._driver is None or self._rows is None:
            raise StoreClosed("the hashes in Kudu are not connected; call connect() first")
        return self._driver, self._rows


def _rows(table: Table | None, name: str) -> Table:
    """Return the table as it is written here: its key, and the hash."""
    if table is None:
        raise missing_table(name)
    rows = key_and_column(table, HASH)
    if rows is None:
        raise StoreRefused(
            f"the Kudu table {name!r} has no column {HASH!r}. Run `flumen tables migrate` first"
        )
    return rows
