"""Giving rows in Kudu their perceptual hash."""

from collections.abc import Iterable, Mapping, Sequence

from flumen.stores.hashes import Hashed
from flumen.stores.kudu.driver import Predicate
from flumen.stores.kudu.one_column import OneColumn
from flumen.stores.kudu.options import KuduOptions

HASH = "perceptual_hash"
_READ = ("id", "sha256", HASH)


class KuduHashes:
    """`flumen.stores.hashes.HashSink` for Kudu.

    Kudu does not update on a condition. So the rows are read before, and once more behind the update: a row that was
    replaced in between, and that has the hash of the image before, loses it again, which is to be without one.
    """

    name = "kudu"

    def __init__(self, options: KuduOptions) -> None:
        self._hashes = OneColumn(options, HASH, "hash", ". Run `flumen tables migrate` first")

    def connect(self) -> None:
        """Open a driver, and look at the table.

        Raises:
            StoreRefused: there is no table of images, or it has no hashes.
        """
        self._hashes.connect()

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
        self._hashes.close()

    def _stored(self, ids: Iterable[str]) -> list[tuple[str, str | None, int | None]]:
        driver, rows = self._hashes.opened
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
        if ids:
            self._hashes.update(ids, list(hashes))
