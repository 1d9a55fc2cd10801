"""A folder of class folders: `cat/1.png`, `dog/2.jpg`. The classes are the folders' names, sorted."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
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
from flumen.models.datasets.source import MAX_CLASSES, UNREADABLE, ImageBatch, Skip
from flumen.models.errors import DatasetInvalid


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path


class FolderSource:
    """`flumen.models.datasets.source.ImageSource` over a folder of class folders, with files at any depth.

    The files come in the order of their classes and names; an id is a path within the folder. Names that begin with a
    dot are passed over. Links that lead out of the folder, and links to folders within a class, are left out and named.

    Raises:
        DatasetInvalid: there is no such folder, it cannot be read, or it has no folder or too many of them; or one of
            them is a link to another one, or to what has the other one in it or is in it.
    """

    def __init__(self, folder: str | os.PathLike[str], decoding: Decoding) -> None:
        self._root = Path(folder)
        self._decoding = decoding
        classes = [each for each in _sorted(self._root) if _is_folder(each)]
        self.labels = tuple(each.name for each in classes)
        if not self.labels:
            raise DatasetInvalid(
                f"{self._root} has no folders in it: make one for each class, with its images"
            )
        if len(self.labels) > MAX_CLASSES:
            raise DatasetInvalid(
                f"{self._root} has {len(self.labels):,} folders, and {MAX_CLASSES} classes are the most"
            )
        self._check_apart(classes)

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

    def _check_apart(self, classes: Sequence["os.DirEntry[str]"]) -> None:
        """Refuse class folders by which an image would have two labels."""
        if not any(each.is_symlink() for each in classes):
            return
        root = RealFolder(self._root)
        inside = [each for each in classes if root.holds(Path(each.path))]  # of the others no image is read
        places = {each.name: Path(os.path.realpath(each.path)) for each in inside}
        for one, other in combinations(places, 2):
            if places[one].is_relative_to(places[other]) or places[other].is_relative_to(places[one]):
                raise DatasetInvalid(
                    f"the class folders {one!r} and {other!r} of {self._root} lead to the same images, by a link: an "
                    "image has one class. Remove one of them, or give it images of its own"
                )

    def _files(self) -> Iterator[LabelledFile | Skip]:
        root = RealFolder(self._root)
        for label, name in enumerate(self.labels):
            for found in self._walk(self._root / name, root):
                if isinstance(found, Skip):
                    yield found
                else:
                    image_id = self._id(found)
                    yield LabelledFile(image_id, image_id, label, found)

    def _walk(self, folder: Path, root: RealFolder) -> Iterator[Path | Skip]:
        # Not by recursion: folders within folders go deeper than Python does.
        waiting = [self._listed(folder, root)]
        while waiting:
            found = next(waiting[-1], None)
            if found is None:
                waiting.pop()
            elif isinstance(found, _Folder):
                waiting.append(self._listed(found.path, root))
            else:
                yield found

    def _listed(self, folder: Path, root: RealFolder) -> Iterator["Path | Skip | _Folder"]:
        try:
            entries = _sorted(folder)
        except DatasetInvalid as error:
            yield Skip(UNREADABLE, self._id(folder), str(error))
            return
        if not root.holds(folder):
            yield outside(self._id(folder))
            return
        for entry in entries:
            path = Path(entry.path)
            if entry.is_symlink() and not root.holds(path):
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
