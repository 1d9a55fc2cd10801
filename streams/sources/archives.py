"""Reading images out of zip and tar archives, without unpacking anything to disk.

Archives are hostile: a few kilobytes can hold terabytes. Never more than one image of the allowed size is in
memory; names inside are only names; links, devices and folders are left out.
"""

import stat
import tarfile
import zipfile
import zlib
from bz2 import BZ2File
from collections.abc import Iterator
from gzip import GzipFile
from lzma import LZMAError, LZMAFile
from pathlib import Path
from typing import BinaryIO, Self

from streams.errors import SourceUnreadable
from streams.sources.files import Content, FoundFile, is_hidden, printable, too_large, unreadable

_GZIP_ENDINGS = (".tar.gz", ".tgz")
_BZIP2_ENDINGS = (".tar.bz2", ".tbz2")
_XZ_ENDINGS = (".tar.xz", ".txz")
_TAR_ENDINGS = (".tar", *_GZIP_ENDINGS, *_BZIP2_ENDINGS, *_XZ_ENDINGS)

# What the standard library raises for damaged archives; RuntimeError is an encrypted member of a zip.
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    zlib.error,
    LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
)

# Python's reader unpacks any other method without a bound on its output.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

_NAME_RECORDS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_MAX_NAME_RECORD_BYTES = 1024 * 1024


def is_zip(path: Path) -> bool:
    """Say whether a file is a zip archive by its name."""
    return path.name.lower().endswith(".zip")


def is_tar(path: Path) -> bool:
    """Say whether a file is a tar archive by its name, packed or not."""
    return path.name.lower().endswith(_TAR_ENDINGS)


def count_zip(path: Path) -> int:
    """Return how many images a zip archive's index names; 0 if it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(1 for _ in _images_in(archive))
    except _DAMAGE:
        return 0


def read_zip(file: FoundFile, limit: int) -> Iterator[Content | SourceUnreadable]:
    """Yield each image of a zip archive, or why it cannot be read. `limit` is in bytes, for one image."""
    try:
        archive = zipfile.ZipFile(file.path)
    except _DAMAGE as error:
        yield unreadable(file.path, error)
        return
    with archive:
        for member in _images_in(archive):
            yield _read_zip_member(file, archive, member, limit)


def _images_in(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    for member in archive.infolist():
        unix_mode = member.external_attr >> 16
        if not member.is_dir() and not stat.S_ISLNK(unix_mode) and not _is_hidden_within(member.filename):
            yield member


def _read_zip_member(
    file: FoundFile, archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int
) -> Content | SourceUnreadable:
    where = file.path / member.filename
    if member.file_size > limit:
        return too_large(where, limit)
    if member.compress_type not in _ZIP_METHODS:
        return SourceUnreadable(f"{str(where)!r} is packed by a method other than deflate; pack it anew")
    try:
        with archive.open(member) as stream:
            return _content(file, member.filename, stream.read(limit + 1))
    except _DAMAGE as error:
        return unreadable(where, error)


def read_tar(file: FoundFile, limit: int) -> Iterator[Content | SourceUnreadable]:
    """Yield each image of a tar archive, or why it cannot be read. `limit` is in bytes, for one image.

    Damage ends the archive: nothing behind it can be found.
    """
    try:
        with (
            _unpacked(file.path) as stream,
            tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictTarInfo) as archive,
        ):
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined] # it keeps all it has seen
                if member.isreg() and not _is_hidden_within(member.name):
                    yield _read_tar_member(file, archive, member, limit)
    except _DAMAGE as error:
        yield unreadable(file.path, error)


def _read_tar_member(
    file: FoundFile, archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int
) -> Content | SourceUnreadable:
    if member.size > limit:
        return too_large(file.path / member.name, limit)
    stream = archive.extractfile(member)
    assert stream is not None, "a regular member has content"
    return _content(file, member.name, stream.read())


def _unpacked(path: Path) -> BinaryIO | GzipFile | BZ2File | LZMAFile:
    """Open a tar. `tarfile` could unpack as well, but with no bound on what one block grows to."""
    name = path.name.lower()
    if name.endswith(_GZIP_ENDINGS):
        return GzipFile(path)
    if name.endswith(_BZIP2_ENDINGS):
        return BZ2File(path)
    if name.endswith(_XZ_ENDINGS):
        return LZMAFile(path)
    return path.open("rb")


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


def _is_hidden_within(name: str) -> bool:
    return any(is_hidden(part) and part != ".." for part in _parts(name))


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def _content(file: FoundFile, name: str, content: bytes) -> Content:
    parts = _parts(printable(name))
    return Content(f"{file.id}/{'/'.join(parts)}", parts[-1] if parts else "", content)
