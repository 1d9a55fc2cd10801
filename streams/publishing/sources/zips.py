"""Reading images out of zip archives, without unpacking anything to disk.

Archives are hostile: a few kilobytes can hold terabytes. Never more than one image of the allowed size is in memory,
no byte of the file serves for two images, names inside are only names, and what is no file is left out.
"""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flumen.streams.errors import SourceUnreadable
from flumen.streams.publishing.sources.files import Content, FoundFile, too_large, unreadable
from flumen.streams.publishing.sources.members import content_of, is_hidden_within

# What the standard library raises for damaged archives; RuntimeError is an encrypted member.
_DAMAGE = (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile)

# Python's reader unpacks any other method without a bound on its output.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

_LOCAL_HEADER_BYTES = 30
_FAT, _NTFS, _VFAT = 0, 11, 14
"""The systems, by APPNOTE.TXT 4.4.2, whose programs wrote `\\` between folders, though 4.4.17 asks for `/`."""


@dataclass(frozen=True, slots=True)
class _Member:
    """An image's place in the archive. `overlaps`: it lies on bytes that another member has."""

    name: str
    info: zipfile.ZipInfo
    overlaps: bool


def is_zip(path: Path) -> bool:
    """Say whether a file is a zip archive by its name."""
    return path.name.lower().endswith(".zip")


def count_zip(file: FoundFile) -> int:
    """Return how many images a zip archive's index names; 0 if it cannot be read."""
    try:
        with file.open() as stream, zipfile.ZipFile(stream) as archive:
            return sum(1 for _ in _images_in(archive))
    except _DAMAGE:
        return 0


def read_zip(file: FoundFile, limit: int) -> Iterator[Content | SourceUnreadable]:
    """Yield each image of a zip archive, or why it cannot be read. `limit` is in bytes, for one image."""
    try:
        with file.open() as stream, zipfile.ZipFile(stream) as archive:
            for member in _images_in(archive):
                yield _read_member(file, archive, member, limit)
    except _DAMAGE as error:
        yield unreadable(file.path, error)


def _images_in(archive: zipfile.ZipFile) -> Iterator[_Member]:
    overlapping = _overlapping(archive)
    for info in archive.infolist():
        name = info.filename
        if info.create_system in (_FAT, _NTFS, _VFAT):
            name = name.replace("\\", "/")
        if not name.endswith("/") and _is_file(info) and not is_hidden_within(name):
            yield _Member(name, info, id(info) in overlapping)


def _is_file(info: zipfile.ZipInfo) -> bool:
    # Only Unix says what a member is: a link, a pipe and a device are none, and 0 says nothing.
    return stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)


def _overlapping(archive: zipfile.ZipFile) -> set[int]:
    """Return the `id` of each member that lies on bytes of another one or of the index."""
    found = set()
    reached = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        end = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size
        if info.header_offset < reached or end > archive.start_dir:
            found.add(id(info))
        reached = max(reached, end)
    return found


def _read_member(
    file: FoundFile, archive: zipfile.ZipFile, member: _Member, limit: int
) -> Content | SourceUnreadable:
    where = file.path / member.name
    if member.overlaps:
        return SourceUnreadable(
            f"{str(where)!r} lies on the bytes of another member: the archive is damaged, or was made to unpack to "
            "more than it holds; pack it anew"
        )
    if member.info.file_size > limit:
        return too_large(where, limit)
    if member.info.compress_type not in _METHODS:
        return SourceUnreadable(f"{str(where)!r} is packed by a method other than deflate; pack it anew")
    try:
        with archive.open(member.info) as stream:
            return content_of(file, member.name, stream.read(limit + 1))
    except _DAMAGE as error:
        return unreadable(where, error)
