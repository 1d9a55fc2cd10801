"""What Kudu holds of images that are to be corrected: which are there, whose answers they have, in how many rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from flumen.replay.errors import BadCorrection
from flumen.replay.images.chosen import CONDITION_ROWS
from flumen.replay.sql.where import Condition
from flumen.stores.kudu import Predicate
from flumen.stores.kudu.of_images import finding

TABLES = ("images", "predictions", "image_chunks", "view_chunks")
"""Those that hold something of an image."""

_SHOWN = 5
_MANY = 40_000
"""Of more images, one scan that gives all rows is faster than those that compare every id with a thousand each."""


class ReadTables(Protocol):
    """What is needed of a `KuduReader`."""

    def tables(self) -> Sequence[str]:
        """Return the names of the tables."""

    def schema(self, table: str) -> pa.Schema:
        """Return the columns of a table."""

    def scan(
        self, table: str, columns: Sequence[str], predicates: Sequence[Predicate] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Read the rows that meet every predicate."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Which model gave an image its answer; None where none did."""

    model: str | None
    version: int | None


def answered(tables: ReadTables, ids: Sequence[str]) -> dict[str, Answered]:
    """Return of these images those that are stored.

    Raises:
        StoreError: Kudu cannot be read.
    """
    if "images" not in tables.tables():
        return {}
    known = tables.schema("images").names
    columns = [name for name in ("id", "model", "model_version") if name in known]
    found: dict[str, Answered] = {}
    same: dict[Answered, Answered] = {}  # there are few models, and many images that they answered
    for rows in _of_images(tables, "images", columns, ids):
        for row in rows.to_pylist():
            answer = Answered(row.get("model"), row.get("model_version"))
            found[row["id"]] = same.setdefault(answer, answer)
    return found


def chosen(tables: ReadTables, where: str) -> list[str]:
    """Return the ids of the images that meet a condition in the language of `flumen sql`, sorted.

    Raises:
        BadQuery: it is no condition on the images.
        StoreError: Kudu cannot be read.
    """
    condition = Condition(where, tables.schema("images"))
    columns = tuple(dict.fromkeys(["id", *condition.columns]))
    ids: list[str] = []
    for rows in tables.scan("images", columns, condition.predicates):
        for start in range(0, rows.num_rows, CONDITION_ROWS):
            (kept,) = condition.kept([rows.slice(start, CONDITION_ROWS)])
            ids += kept.column("id").to_pylist()
    return sorted(ids)


def row_counts(tables: ReadTables, ids: Sequence[str]) -> dict[str, int]:
    """Return how many rows of these images each table has.

    Raises:
        StoreError: Kudu cannot be read.
    """
    there = tables.tables()
    return {
        table: sum(rows.num_rows for rows in _of_images(tables, table, ["id"], ids))
        for table in TABLES
        if table in there
    }


def number_of_class(text: str, classes: Sequence[str], *, by_number: bool = False) -> int:
    """Return the number of the class that a text names, or is the number of; the first is 0.

    Raises:
        BadCorrection: it is neither, or the name of one class and the number of another.
    """
    named = classes.index(text) if text in classes and not by_number else None
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < _DIGITS else None
    if number is not None and number >= len(classes):
        number = None
    if named is None and number is None:
        some = ", ".join(label[:_DIGITS] for label in classes[:_SHOWN])
        more = f" and {len(classes) - _SHOWN:,} more" if len(classes) > _SHOWN else ""
        raise BadCorrection(
            f"{text[:80]!r} is no class of its model: these are {some}{more}, or their numbers 0 to {len(classes) - 1}"
        )
    if named is not None and number is not None and named != number:
        raise BadCorrection(
            f"{text!r} is the name of class {named}, and the number of {classes[number][:80]!r}; say the number, with "
            "--number"
        )
    found = number if named is None else named
    assert found is not None
    return found


_DIGITS = 10


def class_numbers(
    stored: Mapping[str, Answered],
    classes_of: Callable[[str, int], Sequence[str]],
    *,
    by_number: bool = False,
) -> Callable[[str, str], int]:
    """Return what tells the number of an image's label, by the classes of the model that answered it."""

    def number_of(image_id: str, text: str) -> int:
        answer = stored.get(image_id)
        if answer is None:
            raise BadCorrection(f"image {image_id[:80]!r} is not stored: `flumen search` shows ids")
        if answer.model is None or answer.version is None:
            raise BadCorrection(
                f"image {image_id[:80]!r} was answered by no model: its classes are not known"
            )
        try:
            return number_of_class(text, classes_of(answer.model, answer.version), by_number=by_number)
        except BadCorrection as error:
            raise BadCorrection(f"image {image_id[:80]!r}: {error}") from None

    return number_of


def _of_images(
    tables: ReadTables, table: str, columns: Sequence[str], ids: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    if len(ids) <= _MANY:
        for predicate in finding(ids):
            yield from tables.scan(table, columns, [predicate])
        return
    wanted = frozenset(ids)
    for rows in tables.scan(table, columns):
        chosen = [row for row, image_id in enumerate(rows.column("id").to_pylist()) if image_id in wanted]
        if chosen:
            yield rows.take(pa.array(chosen, pa.int32()))
