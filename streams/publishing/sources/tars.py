"""Reading images out of tar archives, packed or not, without unpacking anything to disk.

Archives are hostile: a few kilobytes can hold or claim terabytes. Never more than one image of the allowed size is in
memory, no more is read than the file can hold, names inside are only names, and what is no file is left out.
"""

import tarfile
import zlib
from bz2 import BZ2File
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from gzip import GzipFile
from lzma import LZMAError
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, cast

from flumen.streams.errors import SourceUnreadable
from flumen.streams.publishing.sources.files import Content, FoundFile, printable, too_large, unreadable
from flumen.streams.publishing.sources.members import content_of, is_hidden_within, parts
from flumen.streams.publishing.sources.xz import XzFile

_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

# What the standard library raises for damaged archives.
_DAMAGE = (OSError, EOFError, ValueError, RuntimeError, zlib.error, LZMAError, tarfile.TarError)

_Unpack = Callable[[BinaryIO], "AbstractContextManager[_Readable]"]


def _gunzip(stream: BinaryIO) -> GzipFile:
    return GzipFile(fileobj=cast(Any, stream), mode="rb")


_PACKINGS: tuple[tuple[bytes, _Unpack], ...] = (
    (b"\x1f\x8b", _gunzip),
    (b"BZh", BZ2File),
    (b"\xfd7zXZ\0", XzFile),
)
"""By their first bytes, not by the file's name, which may be wrong."""

_MOST_UNPACKED_BYTES = 1 << 30
_MOST_GROWTH = 100
"""A packed archive may unpack to 1 GiB, or to a hundred times its size; images hardly shrink at all."""

_MOST_HARD_LINKS = 100_000

_NAME_RECORDS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_MAX_NAME_RECORD_BYTES = 1024 * 1024


def is_tar(path: Path) -> bool:
    """Say whether a file is a tar archive by its name, packed or not."""
    return path.name.lower().endswith(_ENDINGS)


def read_tar(
    file: FoundFile, limit: int, stopped: Callable[[], bool]
) -> Iterator[Content | SourceUnreadable]:
    """Yield each image of a tar archive, or why it cannot be read. `limit` is in bytes, for one image.

    Damage ends the archive: nothing behind it can be found. A hard link is an image like the one that it names; those
    come last, from a second reading. `stopped` is asked again and again, and ends it.
    """
    links = _HardLinks()
    try:
        with file.open() as stream:
            for member, read in _members(stream, stopped):
                if member.islnk() and not is_hidden_within(member.name):
                    links.add(member)
                elif member.isreg() and not is_hidden_within(member.name):
                    yield _read_member(file, member, read, limit)
            if links.names:
                yield from _read_links(file, stream, links, limit, stopped)
    except _Stopped:
        return
    except _DAMAGE as error:
        yield unreadable(file.path, error)


class _Stopped(Exception):
    """Reading was told to end."""


@dataclass(slots=True)
class _HardLinks:
    """The names of hard links, by the way to the member that each stands for."""

    names: dict[str, list[str]] = field(default_factory=dict)
    _targets: dict[str, str] = field(default_factory=dict)

    def add(self, member: tarfile.TarInfo) -> None:
        if len(self._targets) >= _MOST_HARD_LINKS:
            raise tarfile.ReadError(
                f"it has more than {_MOST_HARD_LINKS:,} hard links; pack it anew without them"
            )
        target = _way(member.linkname)
        target = self._targets.get(target, target)  # a link to a link
        self._targets[_way(member.name)] = target
        self.names.setdefault(target, []).append(member.name)


def _read_links(
    file: FoundFile, stream: BinaryIO, links: _HardLinks, limit: int, stopped: Callable[[], bool]
) -> Iterator[Content | SourceUnreadable]:
    stream.seek(0)
    room = _most_bytes(stream)
    for member, read in _members(stream, stopped):
        if not member.isreg():
            continue
        for name in links.names.pop(_way(member.name), ()):
            room -= member.size
            if room < 0:
                raise tarfile.ReadError(
                    "its hard links stand for far more than it holds; pack it anew without them"
                )
            yield _read_member(file, member, read, limit, name)
    for target, names in links.names.items():
        for name in names:
            yield SourceUnreadable(
                f"{str(file.path / name)!r} is a hard link to {printable(target)!r}, and no such file is in the archive"
            )


_Read = Callable[[], bytes]


def _members(stream: BinaryIO, stopped: Callable[[], bool]) -> Iterator[tuple[tarfile.TarInfo, _Read]]:
    """Yield each member, and how to read it before the next is asked for."""
    most = _most_bytes(stream)
    with (
        _unpacked(stream) as unpacked,
        tarfile.open(
            fileobj=cast(BinaryIO, _Ending(unpacked, stopped)), mode="r|", tarinfo=_StrictTarInfo
        ) as archive,
    ):
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined] # it keeps all it has seen
            if member.size < 0:
                raise tarfile.ReadError(f"{printable(member.name)!r} in it claims {member.size:,} bytes")
            last: list[bytes] = []

            def read(member: tarfile.TarInfo = member, last: list[bytes] = last) -> bytes:
                if not last:  # a stream is read once, and a member with several hard links several times
                    content = archive.extractfile(member)
                    assert content is not None, "a regular member has content"
                    last.append(content.read())
                return last[0]

            yield member, read
            if archive.offset > most:
                raise tarfile.ReadError(
                    f"{printable(member.name)!r} in it claims {member.size:,} bytes, and it can hold no more than "
                    f"{most:,} in all"
                )


def _most_bytes(stream: BinaryIO) -> int:
    """Return how far the archive in this file can reach, unpacked."""
    packed = _packing(stream)
    size = stream.seek(0, 2)
    stream.seek(0)
    if packed is None:
        return size + tarfile.RECORDSIZE  # the last record may be cut short
    return max(_MOST_UNPACKED_BYTES, _MOST_GROWTH * size)


def _packing(stream: BinaryIO) -> _Unpack | None:
    start = stream.read(6)
    stream.seek(0)
    return next((packing for magic, packing in _PACKINGS if start.startswith(magic)), None)


def _unpacked(stream: BinaryIO) -> "AbstractContextManager[_Readable]":
    """Unpack a tar. `tarfile` could do it as well, but with no bound on what one block grows to."""
    packing = _packing(stream)
    return nullcontext(stream) if packing is None else packing(stream)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Ending:
    """A stream that ends: `tarfile` goes on reading what is not there for as long as a header claims it is."""

    def __init__(self, stream: _Readable, stopped: Callable[[], bool]) -> None:
        self._stream = stream
        self._stopped = stopped
        self._at_end = False

    def read(self, size: int) -> bytes:
        if self._stopped():
            raise _Stopped
        content = self._stream.read(size)
        if not content:
            if self._at_end:  # once is how an archive without an end mark ends
                raise EOFError("it ends before what its headers claim; it was cut short")
            self._at_end = True
        return content


class _StrictTarInfo(tarfile.TarInfo):
    """Refuses what `tarfile` takes without a word: damage as the archive's end, and names of any length."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return the header in these 512 bytes."""
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if bytes(buf).strip(b"\0"):  # an archive ends with zeros or with nothing
                raise tarfile.ReadError(f"the archive is damaged: {error}") from error
            raise
        if info.type in _NAME_RECORDS and info.size > _MAX_NAME_RECORD_BYTES:
            raise tarfile.ReadError(f"a name in it is {info.size:,} bytes long")
        return info


def _way(name: str) -> str:
    return "/".join(parts(name))


def _read_member(
    file: FoundFile, member: tarfile.TarInfo, read: _Read, limit: int, name: str | None = None
) -> Content | SourceUnreadable:
    called = name or member.name
    if member.size > limit:
        return too_large(file.path / called, limit)
    return content_of(file, called, read())
