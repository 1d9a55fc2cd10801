"""A CSV file of labels: all of it is checked before anything of it counts."""

import csv
import io
import sys
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
    rows = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    labels: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems: list[str] = []
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
            problem = _problem(row, len(columns), at_id, at_label, labels, lines)
            if problem:
                problems.append(f"line {rows.line_num}: {problem}")
            else:
                labels[row[at_id]] = row[at_label].strip()
                lines[row[at_id]] = rows.line_num
    except csv.Error as error:
        raise BadCorrection(f"{str(path)!r} is no CSV file: line {rows.line_num}: {error}") from error
    raise_all(path, problems)
    if not labels:
        raise BadCorrection(f"{str(path)!r} has no line but its first: there is nothing to correct")
    return labels


def raise_all(place: object, problems: list[str]) -> None:
    """Raise the problems that were found in one place, if there are any.

    Raises:
        BadCorrection: there are.
    """
    if problems:
        more = f"\nand {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""
        shown = "\n".join(problems[:_SHOWN])
        raise BadCorrection(f"{str(place)!r} is not used, and nothing is changed:\n{shown}{more}")


def numbered(
    given: Mapping[str, str], number_of: Callable[[str, str], int], place: object
) -> dict[str, int | None]:
    """Return labels as numbers of classes. `number_of` an id and a label raises `BadCorrection` for what is none.

    Raises:
        BadCorrection: some are none; the message says which.
    """
    numbers: dict[str, int | None] = {}
    problems = []
    for image_id, label in given.items():
        try:
            numbers[image_id] = number_of(image_id, label)
        except BadCorrection as error:
            problems.append(str(error))
    raise_all(place, problems)
    return numbers


def _text(path: Path) -> str:
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
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadCorrection(f"{str(path)!r} is not UTF-8 in line {line:,}; save it as UTF-8") from error


def _problem(
    row: list[str],
    columns: int,
    at_id: int,
    at_label: int,
    labels: Mapping[str, str],
    lines: Mapping[str, int],
) -> str:
    if len(row) != columns:
        return f"{len(row)} {'cell' if len(row) == 1 else 'cells'} for {columns} columns"
    image_id, label = row[at_id], row[at_label].strip()
    if not image_id:
        return "no id"
    if not label:
        return f"no label for {_shortened(image_id)!r}; take labels away with `flumen label ID --none`"
    if labels.get(image_id, label) != label:
        before = _shortened(labels[image_id])
        return f"{_shortened(image_id)!r} is {_shortened(label)!r} here and {before!r} in line {lines[image_id]:,}"
    return ""


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
