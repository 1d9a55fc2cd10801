"""A CSV file of labels: all of it is checked before anything of it counts."""

import csv
import io
import sys
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path

from flumen.replay.errors import BadCorrection

_ID, _LABEL = "id", "label"
_SHOWN = 10
_LONGEST = 80
_MOST_BYTES = 256 * 1024 * 1024

STANDARD_INPUT = Path("-")


def read_labels(path: Path) -> dict[str, str]:
    """Return the labels that a CSV file gives, by id, as they stand there; `STANDARD_INPUT` is no file.

    Its first line names the columns; `id` and `label` have to be among them, others are not looked at. It is UTF-8,
    with or without a byte order mark, and separated by commas.

    Raises:
        BadCorrection: it cannot be read, or is no such file. The message names the lines, up to ten of them.
    """
    rows = csv.reader(io.TextIOWrapper(_content(path), "utf-8-sig", newline=""), strict=True)
    found = _Found()
    try:
        columns = [name.strip() for name in next(rows, [])]
        for name in (_ID, _LABEL):
            if columns.count(name) != 1:
                raise BadCorrection(
                    f"{str(path)!r} has the columns {_shortened(', '.join(columns)) or 'of none'}, and needs one "
                    f"{_ID!r} and one {_LABEL!r}: let its first line be id,label"
                )
        at_id, at_label = columns.index(_ID), columns.index(_LABEL)
        for row in rows:
            if not row:
                continue
            problem = _problem(row, len(columns), at_id, at_label)
            if problem:
                _note(f"line {rows.line_num}: {problem}", found.problems)
            else:
                found.add(rows.line_num, row[at_id], row[at_label].strip())
    except csv.Error as error:
        raise BadCorrection(f"{str(path)!r} is no CSV file: line {rows.line_num}: {error}") from error
    raise_all(path, found.problems)
    if not found.labels:
        raise BadCorrection(f"{str(path)!r} has no line but its first: there is nothing to correct")
    return found.labels


class _Found:
    """Labels by id, and what is wrong with them."""

    def __init__(self) -> None:
        self.labels: dict[str, str] = {}
        self.problems: list[str] = []
        self._lines = array("L")  # where each label stands, in their order
        self._same: dict[str, str] = {}  # there are few labels, and many images that have them

    def add(self, line: int, image_id: str, label: str) -> None:
        before = self.labels.get(image_id)
        if before is None:
            self.labels[image_id] = self._same.setdefault(label, label)
            self._lines.append(line)
        elif before != label:
            both = f"{_shortened(image_id)!r} is {_shortened(label)!r} here and {_shortened(before)!r}"
            # The line is looked for where it is shown, which takes as long as all lines before it.
            place = list(self.labels).index(image_id) if len(self.problems) < _SHOWN else 0
            _note(f"line {line}: {both} in line {self._lines[place]:,}", self.problems)


def raise_all(place: object, problems: list[str]) -> None:
    """Raise the problems that were found in one place, if there are any.

    Raises:
        BadCorrection: there are.
    """
    if problems:
        more = f"\nand {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""
        shown = "\n".join(problems[:_SHOWN])
        raise BadCorrection(f"{str(place)!r} is not used, and nothing is changed:\n{shown}{more}")


def _note(problem: str, problems: list[str]) -> None:
    """Add a problem; those that are not shown are counted alone, as there may be as many as lines."""
    problems.append(problem if len(problems) < _SHOWN else "")


def numbered(
    given: Mapping[str, str], number_of: Callable[[str, str], int], place: object
) -> dict[str, int | None]:
    """Return labels as numbers of classes. `number_of` an id and a label raises `BadCorrection` for what is none.

    Raises:
        BadCorrection: some are none; the message says which.
    """
    numbers: dict[str, int | None] = {}
    problems: list[str] = []
    for image_id, label in given.items():
        try:
            numbers[image_id] = number_of(image_id, label)
        except BadCorrection as error:
            _note(str(error), problems)
    raise_all(place, problems)
    return numbers


def _content(path: Path) -> io.BytesIO:
    """Return a file as it is read line by line: of all that was said in it, only the labels stay in memory."""
    try:
        if path == STANDARD_INPUT:
            content = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with path.open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise BadCorrection(f"{str(path)!r} cannot be read: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise BadCorrection(
            f"{str(path)!r} has more than {_MOST_BYTES // 1024**2:,} MiB, the most that is read: give it in parts"
        )
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadCorrection(f"{str(path)!r} is not UTF-8 in line {line:,}; save it as UTF-8") from error
    return io.BytesIO(content)


def _problem(row: list[str], columns: int, at_id: int, at_label: int) -> str:
    if len(row) != columns:
        return f"{len(row)} {'cell' if len(row) == 1 else 'cells'} for {columns} columns"
    if not row[at_id]:
        return "no id"
    if not row[at_label].strip():
        return f"no label for {_shortened(row[at_id])!r}; take labels away with `flumen label ID --none`"
    return ""


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
