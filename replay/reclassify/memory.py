"""The twin in memory of the table that jobs stand in."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from flumen.replay.reclassify.parts import Plain

_Key = tuple[str, int, int]


class MemoryParts:
    """`flumen.replay.reclassify.parts.PartTable` in memory; `answers` holds what was written, by id."""

    def __init__(self) -> None:
        self._rows: dict[_Key, dict[str, Plain]] = {}
        self.answers: dict[str, Mapping[str, object]] = {}

    def insert(self, row: Mapping[str, Plain]) -> bool:
        """Add a row; return False where one of its key is there."""
        if _key(row) in self._rows:
            return False
        self.update(row)
        return True

    def update(self, row: Mapping[str, Plain]) -> None:
        """Change the columns that are given."""
        self._rows.setdefault(_key(row), {}).update(row)

    def rows(self, job_id: str, columns: Sequence[str], part: int | None = None) -> list[Mapping[str, Plain]]:
        """Return the key and these columns of the rows of an id; of one part, if it is given."""
        wanted = ("id", "part", "attempt", *columns)
        return [
            {name: row.get(name) for name in wanted}
            for (row_id, number, _), row in self._rows.items()
            if row_id == job_id and part in (None, number)
        ]

    def write_answers(self, answers: pa.RecordBatch) -> None:
        """Upsert rows of `predictions`, of one model."""
        self.answers |= {row["id"]: row for row in answers.to_pylist()}

    def remove_answers(self, ids: Sequence[str]) -> None:
        """Delete every row of these images from `predictions`."""
        for image_id in ids:
            self.answers.pop(image_id, None)

    def close(self) -> None:
        """Do nothing: there is no connection."""


def _key(row: Mapping[str, Plain]) -> _Key:
    return str(row["id"]), int(row["part"] or 0), int(row["attempt"] or 0)
