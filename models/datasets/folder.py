"""A folder of class folders: `cat/1.png`, `dog/2.jpg`. The classes are the folders' names, sorted."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flumen.interceptor import Preprocess
from flumen.models.datasets.files import (
    Decoding,
    LabelledFile,
    as_id,
    is_inside,
    outside,
    read_files,
    state_of,
)
from flumen.models.datasets.source import MAX_CLASSES, UNREADABLE, ImageBatch, Skip
from flumen.models.errors import DatasetInvalid


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path


class FolderSource:
    """`flumen.models.datasets.source.ImageSource` over a folder of class folders, with files at any depth.

    The files come in the order of their classes and names; an id is a path within the folder. Names that begin with a
    dot are passed over. Links that lead out of the folder, and links to folders, are left out and named.

    Raises:
        DatasetInvalid: there is no such folder, it cannot be read, or it has no folder or too many of them.
    """

    def __init__(self, folder: str | os.PathLike[str], decoding: Decoding) -> None:
        self._root = Path(folder)
        self._decoding = decoding
        self.labels = tuple(each.name for each in _sorted(self._root) if _is_folder(each))
        if not self.labels:
            raise DatasetInvalid(
                f"{self._root} has no folders in it: make one for each class, with its images"
            )
        if len(self.labels) > MAX_CLASSES:
            raise DatasetInvalid(
                f"{self._root} has {len(self.labels):,} folders, and {MAX_CLASSES} classes are the most"
            )

    @property
    def text(self) -> str:
        """The folder."""
        return str(self._root)

    @property
    def selection(self) -> Mapping[str, Any]:
        """The size and the classes: all files are read."""
        return {"any_size": self._decoding.any_size}

    @property
    def state(self) -> str:
        """A hash of all the files' names, sizes and times."""
        return state_of(
            (file.path for file in self._files() if isinstance(file, LabelledFile)), self._decoding
        )

    @property
    def preprocess(self) -> Preprocess:
        """The size at which images are given."""
        return self._decoding.preprocess

    def scan(self, position: str = "") -> Iterator[ImageBatch]:
        """Read the images. See `flumen.models.datasets.source.ImageSource.scan`."""
        return read_files(self._files(), self._decoding, self.labels, position)

    def _files(self) -> Iterator[LabelledFile | Skip]:
        for label, name in enumerate(self.labels):
            for found in self._walk(self._root / name):
                if isinstance(found, Skip):
                    yield found
                else:
                    image_id = self._id(found)
                    yield LabelledFile(image_id, image_id, label, found)

    def _walk(self, folder: Path) -> Iterator[Path | Skip]:
        # Not by recursion: folders within folders go deeper than Python does.
        waiting = [self._listed(folder)]
        while waiting:
            found = next(waiting[-1], None)
            if found is None:
                waiting.pop()
            elif isinstance(found, _Folder):
                waiting.append(self._listed(found.path))
            else:
                yield found

    def _listed(self, folder: Path) -> Iterator["Path | Skip | _Folder"]:
        try:
            entries = _sorted(folder)
        except DatasetInvalid as error:
            yield Skip(UNREADABLE, self._id(folder), str(error))
            return
        if not is_inside(folder, self._root):
            yield outside(self._id(folder))
            return
        for entry in entries:
            path = Path(entry.path)
            if entry.is_symlink() and not is_inside(path, self._root):
                yield outside(self._id(path))
            elif entry.is_symlink() and _is_folder(entry):
                yield Skip(UNREADABLE, self._id(path), "it is a link to a folder")
            else:
                yield _Folder(path) if _is_folder(entry) else path

    def _id(self, path: Path) -> str:
        return as_id(path.relative_to(self._root).as_posix())


def _sorted(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DatasetInvalid(f"the folder {folder} cannot be read: {error.strerror or error}") from error
    return sorted(visible, key=lambda entry: os.fsencode(entry.name))


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Say whether it is a folder, or a link to one; what cannot be said of is none, such as a link to itself."""
    with suppress(OSError):
        return entry.is_dir()
    return False
