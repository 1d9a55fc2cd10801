"""Finding the files to publish, and reading one whole file."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from flumen.streams.errors import SourceUnreadable
from flumen.streams.events import escaped
from flumen.streams.publishing.sources.opening import open_below

OnUnreadable = Callable[[SourceUnreadable], None]
"""Told of each file or image that cannot be read; the others go on."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file to publish from.

    `id` is the given path's last name and the way from there, so that it is the same on every run and differs
    between two given paths. `source` is the given path's last name as a URI reference. `root` is the folder that it
    was found in and has to lie in; None for a file that was given itself.
    """

    path: Path
    id: str
    source: str
    root: Path | None = None
    follow_links: bool = False

    def open(self) -> BinaryIO:
        """Open it for reading. No link is followed that was not asked for, and none that leads out of its folder.

        Raises:
            OSError: it is gone, may not be read, is no regular file, or is such a link.
        """
        return open_below(self.root, self.path, follow_links=self.follow_links)

    def beside(self, name: str) -> "FoundFile":
        """Return the file of this name in the same folder, which may not be there."""
        return replace(self, path=self.path.with_name(name))


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of one image, and what they are called."""

    id: str
    name: str
    content: bytes
    known_label: int | None = None


def find_files(
    paths: Sequence[Path], on_unreadable: OnUnreadable, *, follow_links: bool = False
) -> tuple[FoundFile, ...]:
    """Return the files under these paths, those of a folder sorted by their way down.

    Hidden files and folders and whatever is not a file are left out, unless given by name. A link in a folder is told
    and left out: whoever fills the folder could let it point to anything. With `follow_links`, links to files within
    the folder are followed; links to folders never are, since they could lead round in circles.

    Raises:
        SourceUnreadable: a path does not exist, or two paths would give their images the same ids.
    """
    roots: dict[str, Path] = {}
    for path in paths:
        name = _own_name(path)
        _check_exists(path)
        if name in roots:
            raise SourceUnreadable(
                f"{str(roots[name])!r} and {str(path)!r} have the same name, so their images could have the "
                "same ids and replace each other; give the folders above them instead. Nothing was published"
            )
        roots[name] = path
    return tuple(
        file for name, path in roots.items() for file in _files_of(name, path, on_unreadable, follow_links)
    )


def _check_exists(path: Path) -> None:
    try:
        if path.is_dir() or path.is_file():
            return
    except OSError as error:
        raise unreadable(path, error) from error
    raise SourceUnreadable(f"{str(path)!r} is neither a folder nor a file; nothing was published")


def _files_of(name: str, root: Path, on_unreadable: OnUnreadable, follow_links: bool) -> Iterator[FoundFile]:
    source = quote(name)
    if root.is_file():
        yield FoundFile(root, name, source)
        return

    def report(error: OSError) -> None:
        on_unreadable(unreadable(error.filename, error))

    for folder, subfolders, names in os.walk(root, onerror=report):
        subfolders[:] = sorted(subfolder for subfolder in subfolders if not is_hidden(subfolder))
        for subfolder in subfolders:
            if Path(folder, subfolder).is_symlink():
                on_unreadable(
                    _is_link(Path(folder, subfolder), "a link to a folder; give that folder itself")
                )
        way = Path(folder).relative_to(root)
        for file_name in sorted(name for name in names if not is_hidden(name)):
            path = Path(folder, file_name)
            try:
                if path.is_symlink() and not follow_links:
                    on_unreadable(_is_link(path, "a link; --follow-links takes those to files in the folder"))
                elif path.is_file():
                    file_id = printable(f"{name}/{(way / file_name).as_posix()}")
                    yield FoundFile(path, file_id, source, root, follow_links)
            except OSError as error:
                report(error)


def _is_link(path: Path, what: str) -> SourceUnreadable:
    return SourceUnreadable(f"{str(path)!r} was left out: it is {what}")


def _own_name(path: Path) -> str:
    return printable(path.name if path.name not in ("", "..") else path.resolve().name or "root")


def is_hidden(name: str) -> bool:
    """Say whether a file or folder of this name is hidden."""
    return name.startswith(".")


def printable(name: str) -> str:
    """Return a file's name as text that can be sent: control characters and bytes that are not UTF-8 are escaped."""
    return escaped(name)


def unreadable(what: object, error: Exception) -> SourceUnreadable:
    """Return the error that says what cannot be read, and why."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return SourceUnreadable(f"{str(what)!r} cannot be read: {reason or type(error).__name__}")


def too_large(what: object, limit: int) -> SourceUnreadable:
    """Return the error that says what is over the limit of `max_image_bytes`."""
    return SourceUnreadable(
        f"{str(what)!r} has more than {limit:,} bytes; raise FLUMEN_MAX_IMAGE_BYTES, here and for the workers"
    )


def read_file(file: FoundFile, limit: int) -> Content:
    """Read a whole file of at most `limit` bytes.

    Raises:
        SourceUnreadable: it is gone, may not be read, or is larger.
    """
    try:
        with file.open() as stream:
            content = stream.read(limit + 1)
    except OSError as error:
        raise unreadable(file.path, error) from error
    if len(content) > limit:
        raise too_large(file.path, limit)
    return Content(file.id, printable(file.path.name), content)
