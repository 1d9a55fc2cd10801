"""A list of images in a CSV file: columns `path` and `label`, and if there are such, `id` and `group`."""

import csv
import os
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from flumen.interceptor import Preprocess
from flumen.models.datasets.files import (
    Decoding,
    LabelledFile,
    RealFolder,
    as_id,
    outside,
    read_files,
    state_of,
)
from flumen.models.datasets.source import (
    MAX_CLASSES,
    NO_LABEL,
    OTHER_LABEL,
    UNREADABLE,
    ImageBatch,
    Skip,
)
from flumen.models.errors import DatasetInvalid

COLUMNS = ("path", "label", "id", "group")
NEEDED = COLUMNS[:2]


class CsvSource:
    """`flumen.models.datasets.source.ImageSource` over a CSV file in UTF-8 whose first line names its columns.

    A path is relative to the file's folder, and leads to nowhere else. A label is a class's name, or its number. Where
    no `labels` are given, they are numbers if all of them are, else the names that occur, sorted. An id is the path,
    if there is no other.

    Raises:
        DatasetInvalid: the file cannot be read, or lacks a column, or has too many classes.
    """

    def __init__(
        self, file: str | os.PathLike[str], decoding: Decoding, labels: tuple[str, ...] = ()
    ) -> None:
        self._file = Path(file)
        self._decoding = decoding
        self.labels = labels or self._names()
        self._numbers = {name: number for number, name in enumerate(self.labels)}

    @property
    def text(self) -> str:
        """The file."""
        return str(self._file)

    @property
    def selection(self) -> Mapping[str, Any]:
        """How images become one size: all rows are read."""
        return {"any_size": self._decoding.any_size}

    @property
    def state(self) -> str:
        """A hash of the list and of all the files' names, sizes and times."""
        listed = (row.path for row in self._files() if isinstance(row, LabelledFile))
        return state_of(chain([self._file], listed), self._decoding)

    @property
    def preprocess(self) -> Preprocess:
        """The size at which images are given."""
        return self._decoding.preprocess

    def scan(self, position: str = "") -> Iterator[ImageBatch]:
        """Read the images. See `flumen.models.datasets.source.ImageSource.scan`."""
        return read_files(self._files(), self._decoding, self.labels, position)

    def _names(self) -> tuple[str, ...]:
        found: set[str] = set()
        for _, row in self._rows():
            if label := row["label"].strip():
                found.add(label)
            if len(found) > MAX_CLASSES:
                raise DatasetInvalid(
                    f"{self._file} has more than {MAX_CLASSES} different labels: name the column of classes 'label'"
                )
        return () if all(map(_is_number, found)) else tuple(sorted(found))

    def _files(self) -> Iterator[LabelledFile | Skip]:
        folder = RealFolder(self._file.parent)
        for line, row in self._rows():
            yield self._entry(line, row, folder)

    def _entry(self, line: int, row: Mapping[str, str], folder: RealFolder) -> LabelledFile | Skip:
        named, label = row["path"], row["label"].strip()
        image_id = row.get("id") or as_id(named) or f"line {line}"
        if not named:
            return Skip(UNREADABLE, image_id, f"line {line} names no path")
        if not label:
            return Skip(NO_LABEL, image_id)
        number = self._numbers.get(label)
        if number is None:
            if not _is_number(label):
                return Skip(OTHER_LABEL, image_id, label)
            number = int(label)
        if "\0" in named:
            return Skip(UNREADABLE, image_id, "its path holds a NUL")
        path = self._file.parent / named
        # Joined with an absolute path, the folder is gone.
        if not folder.holds(path):
            return outside(image_id)
        return LabelledFile(image_id, row.get("group") or image_id, number, path)

    def _rows(self) -> Iterator[tuple[int, Mapping[str, str]]]:
        try:
            with self._file.open(encoding="utf-8-sig", newline="") as file:
                rows = csv.DictReader(file, restval="")
                lacking = [name for name in NEEDED if name not in (rows.fieldnames or ())]
                if lacking:
                    raise DatasetInvalid(
                        f"{self._file} has no column {lacking[0]!r}: its first line names the columns "
                        f"{', '.join(NEEDED)}, and may name {', '.join(COLUMNS[2:])}"
                    )
                for row in rows:
                    yield rows.line_num, row
        except OSError as error:
            raise DatasetInvalid(f"{self._file} cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise DatasetInvalid(f"{self._file} is not UTF-8: save it as such") from error
        except csv.Error as error:
            raise DatasetInvalid(f"{self._file} is no CSV file: {error}") from error


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdecimal() and len(label) <= len(str(MAX_CLASSES)) + 1
