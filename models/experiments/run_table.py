"""The seam to where runs are kept: rows of plain values, and the one operation that is atomic between machines."""

import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

from flumen.models.experiments.run import Row

KEYS = ("run_id", "data_sha256", "attempt")


class RunTable(Protocol):
    """A table of runs with the key `KEYS`. It belongs to one thread.

    Every method may raise the errors of what is behind it.
    """

    def insert(self, row: Row) -> bool:
        """Add a row; return False, and change nothing, where one of its key is there.

        Of several at once, on whatever machines, exactly one adds it.
        """

    def update(self, row: Row, *, patiently: bool = True) -> None:
        """Change the columns that are given, beside the key, of a row that is there.

        Where what is behind it does not answer for a while, that is waited for, or not.
        """

    def rows(self, where: Mapping[str, str], columns: Sequence[str], *, patiently: bool = True) -> list[Row]:
        """Return these columns of all rows whose text columns have these values, in no particular order."""

    def join(self, experiment: str, runs: Sequence[tuple[str, str]]) -> None:
        """Note that runs, by id and fingerprint of their data, are of an experiment that another one computed."""

    def joined(self, experiment: str = "") -> list[tuple[str, str, str]]:
        """Return what `join` has noted, of one experiment or of all: experiment, run and data, each once."""

    def close(self) -> None:
        """Release connections. A second call does nothing."""


class MemoryRunTable:
    """`RunTable` in memory, for tests and for experiments that are not to be kept."""

    def __init__(self) -> None:
        self._rows: dict[tuple[object, ...], dict[str, str | int | float | None]] = {}
        self._joined: set[tuple[str, str, str]] = set()
        self._lock = threading.Lock()

    def insert(self, row: Row) -> bool:
        """Add a row, unless one of its key is there."""
        with self._lock:
            return self._rows.setdefault(_key(row), there := dict(row)) is there

    def update(self, row: Row, *, patiently: bool = True) -> None:  # noqa: ARG002 - it answers always
        """Change columns of a row."""
        with self._lock:
            self._rows[_key(row)].update(row)

    def rows(
        self,
        where: Mapping[str, str],
        columns: Sequence[str],
        *,
        patiently: bool = True,  # noqa: ARG002 - it answers always
    ) -> list[Row]:
        """Return columns of the rows that have these values."""
        with self._lock:
            return [
                {name: row.get(name) for name in columns}
                for row in self._rows.values()
                if all(row.get(name) == value for name, value in where.items())
            ]

    def join(self, experiment: str, runs: Sequence[tuple[str, str]]) -> None:
        """Note that runs are of an experiment, too."""
        with self._lock:
            self._joined |= {(experiment, *run) for run in runs}

    def joined(self, experiment: str = "") -> list[tuple[str, str, str]]:
        """Return what was noted."""
        with self._lock:
            return sorted(each for each in self._joined if experiment in ("", each[0]))

    def close(self) -> None:
        """Keep everything: another may read on."""


def _key(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in KEYS)
