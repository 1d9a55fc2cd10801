"""The twins in memory of the table that jobs stand in, and of where the answers go."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from flumen.replay.reclassify.parts import Plain
from flumen.stores.kudu.plain import plain_rows
from flumen.stores.kudu.schema import CHUNK_BYTES
from flumen.stores.results import ANSWER, DELIVERY, Result, delivery_of

_SHOWN = (*DELIVERY, *ANSWER)
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


class MemoryResults:
    """`flumen.replay.reclassify.results.ResultTable` in memory, with its past.

    `rows` holds what the images have now, by id; `answers` what was kept of former answers, `views` what was cut. Time
    goes by one with each change, from `now` on.
    """

    def __init__(self, now: int = 0) -> None:
        self.rows: dict[str, Result] = {}
        self.answers: dict[tuple[str, str, int], Mapping[str, object]] = {}
        self.views: dict[str, bytes] = {}
        self.now = now
        self._past: dict[str, list[tuple[int, Result | None]]] = {}

    def store(self, rows: Iterable[Result]) -> None:
        """Take rows in whole, as a worker writes them."""
        for row in rows:
            self._set(row["id"], dict(row))

    def delete(self, image_id: str) -> None:
        """Take an image out."""
        self._set(image_id, None)

    def read(self, ids: Sequence[str]) -> dict[str, Result]:
        """Return delivery and answer of the images that are there."""
        return {each: dict(self.rows[each]) for each in ids if each in self.rows}

    def keep(self, former: pa.RecordBatch) -> None:
        """Keep answers that are about to be replaced."""
        for row in plain_rows(former):
            self.answers[row["id"], row["model"], row["model_version"]] = row

    def write_views(self, views: Mapping[str, bytes]) -> None:
        """Write views that are larger than a cell."""
        self.views |= {each: view for each, view in views.items() if len(view) > CHUNK_BYTES}

    def remove_views(self, ids: Sequence[str]) -> None:
        """Delete views."""
        for each in ids:
            self.views.pop(each, None)

    def update(self, rows: pa.RecordBatch) -> None:
        """Change columns of the rows that are there."""
        for row in rows.to_pylist():
            if row["id"] in self.rows:
                self._set(row["id"], self.rows[row["id"]] | row)

    def at(self, image_id: str, moment_us: int) -> Result | None:
        """Return the row as it was at a time."""
        past = [row for moment, row in self._past.get(image_id, []) if moment < moment_us]
        return past[-1] if past else None

    def _set(self, image_id: str, row: Result | None) -> None:
        self.now += 10
        self._past.setdefault(image_id, []).append((self.now, row))
        if row is None:
            self.rows.pop(image_id, None)
        else:
            self.rows[image_id] = row


class MemoryIndex:
    """`flumen.replay.reclassify.results.ResultIndex` in memory: `documents` by id, each with a `_version_`."""

    def __init__(self) -> None:
        self.documents: dict[str, Result] = {}
        self._version = 0

    def store(self, rows: Iterable[Result]) -> None:
        """Take documents in whole, as a worker writes them."""
        for row in rows:
            self._version += 1
            self.documents[row["id"]] = {name: row[name] for name in ("id", *_SHOWN)} | {
                "_version_": self._version
            }

    def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return the documents that are there."""
        return {each: dict(self.documents[each]) for each in ids if each in self.documents}

    def differing(
        self, documents: Mapping[str, Mapping[str, Any]], results: Mapping[str, Result]
    ) -> Sequence[str]:
        """Return the images whose document says something else, or is not there."""
        return [
            each
            for each, result in results.items()
            if each not in documents or any(documents[each][name] != result[name] for name in _SHOWN)
        ]

    def put(
        self, documents: Mapping[str, Mapping[str, Any]], results: Mapping[str, Result]
    ) -> tuple[list[str], list[str]]:
        """Change documents of the same delivery that are still as they were read."""
        others = [
            each for each in results if delivery_of(dict(documents[each])) != delivery_of(results[each])
        ]
        sent = [each for each in self.differing(documents, results) if each not in others]
        for each in sent:
            if self.documents.get(each, {}).get("_version_") == documents[each]["_version_"]:
                self.store([results[each]])
        return sent, others
