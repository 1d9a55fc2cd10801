"""Where a repository's files lie: a folder on this machine, or any storage that fsspec knows.

Both do the same four things. On this machine a folder is published in one step, by a rename. Elsewhere
folders cannot be renamed, so files are created in order, each only if it is not there: the first claims the
folder, the last completes it.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import fsspec
from fsspec.implementations.local import LocalFileSystem

from flumen.interceptor.open_files import exhausted
from flumen.models.errors import ModelError, ModelNotFound, RepositoryRefused, RepositoryUnavailable
from flumen.models.urls import without_passwords

_PART_BYTES = 8 * 1024 * 1024
"""What is read of a file in one step."""

_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""What a folder answers until somebody changes it, or the setting."""


_MISSING = (404, 410)


class FolderTaken(Exception):
    """Somebody else published this folder first. Caught in this package, never seen by a user."""


class Storage(Protocol):
    """Files in folders under one root. Paths are relative, with `/`; the caller has checked their parts.

    Every method raises RepositoryUnavailable where the storage does not answer, RepositoryRefused where it refuses.
    """

    def entries(self, path: str) -> list[str]:
        """Return the names of what lies directly in a folder; none if it is not there."""

    def read(self, path: str, at_most: int, throttle: Callable[[], None] = lambda: None) -> bytes | None:
        """Return a file's first `at_most` bytes, or None if there is no such file.

        `throttle` is called between two steps where there are several; may take its time.
        """

    def publish(self, path: str, files: Mapping[str, bytes]) -> None:
        """Make a folder of these files, complete or not at all visible by its last file.

        Raises:
            FolderTaken: it is already there.
        """

    def replace(self, path: str, content: bytes) -> None:
        """Write a file; a reader sees the old content or the new one, never a part."""


def open_storage(url: str | os.PathLike[str]) -> Storage:
    """Return the storage behind a path or an fsspec URL (`s3://bucket/models`).

    Raises:
        RepositoryRefused: the URL's protocol is unknown or its driver is not installed.
        RepositoryUnavailable: its driver asks a server at once, and that does not answer.
    """
    with _translated(os.fspath(url)):
        try:
            filesystem, root = fsspec.url_to_fs(os.fspath(url))
        except (ValueError, TypeError, ImportError) as error:
            raise RepositoryRefused(
                f"the model repository {without_passwords(f'{os.fspath(url)!r} cannot be opened: {error}')}. "
                "Set FLUMEN_MODELS_ROOT to a folder, or to a URL of a protocol whose fsspec driver is installed"
            ) from error
    return (
        LocalFolder(Path(root)) if isinstance(filesystem, LocalFileSystem) else RemoteFolder(filesystem, root)
    )


class LocalFolder:
    """A folder on this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self, path: str) -> list[str]:
        """Return the names of what lies directly in a folder; none if it is not there."""
        with _translated(self._root):
            folder = self._inside(path)
            return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []

    def read(self, path: str, at_most: int, throttle: Callable[[], None] = lambda: None) -> bytes | None:
        """Return a file's first `at_most` bytes, or None if there is no such file; a part in each step."""
        with _translated(self._root):
            file = self._inside(path)
            # is_file: opening a pipe that somebody put there would wait for ever.
            if not file.is_file():
                return None
            with file.open("rb") as stream:
                return b"".join(_parts(stream, at_most, throttle))

    def publish(self, path: str, files: Mapping[str, bytes]) -> None:
        """Write to a hidden folder, then rename it: a reader sees all of the files or none."""
        with _translated(self._root):
            target = self._inside(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            hidden = target.parent / f".{uuid.uuid4().hex}"
            hidden.mkdir()
            try:
                for name, content in files.items():
                    _write_through(hidden / name, content)
                hidden.rename(target)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise FolderTaken(path) from error
                raise
            finally:
                shutil.rmtree(hidden, ignore_errors=True)

    def replace(self, path: str, content: bytes) -> None:
        """Write to a hidden file, then rename it over the old one."""
        with _translated(self._root):
            target = self._inside(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            hidden = target.parent / f".{uuid.uuid4().hex}"
            try:
                _write_through(hidden, content)
                hidden.replace(target)
            finally:
                hidden.unlink(missing_ok=True)

    def _inside(self, path: str) -> Path:
        # Names are checked before; a symbolic link could still lead outside.
        target = self._root / path
        try:
            leads_to = target.resolve()
        except RuntimeError as error:  # what Python 3.11 and 3.12 raise; later ones give the path back
            raise ModelNotFound(
                f"{target} is a link that leads round in a circle; it is not followed"
            ) from error
        if not leads_to.is_relative_to(self._root.resolve()):
            raise ModelNotFound(
                f"{target} is a link that leads outside of the model repository; it is not followed"
            )
        return target


class RemoteFolder:
    """A folder of an object store, or of anything else that fsspec knows."""

    def __init__(self, filesystem: fsspec.AbstractFileSystem, root: str) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    def entries(self, path: str) -> list[str]:
        """Return the names of what lies directly in a folder; none if it is not there."""
        with _translated(self._root):
            self._filesystem.invalidate_cache()
            try:
                found = self._filesystem.ls(self._at(path), detail=False)
            except FileNotFoundError as error:
                if _does_not_answer(error):
                    raise
                return []
            return [str(name).rstrip("/").rpartition("/")[2] for name in found]

    def read(self, path: str, at_most: int, throttle: Callable[[], None] = lambda: None) -> bytes | None:
        """Return a file's first `at_most` bytes, or None if there is no such file; a part in each step."""
        with _translated(self._root):
            try:
                with self._filesystem.open(self._at(path), "rb") as stream:
                    return b"".join(_parts(stream, at_most, throttle))
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError) as error:
                # The last is what fsspec's memory says of a path that goes on below a file.
                if _does_not_answer(error):
                    raise
                return None

    def publish(self, path: str, files: Mapping[str, bytes]) -> None:
        """Create the files in order, each only if it is not there."""
        with _translated(self._root):
            for name, content in files.items():
                try:
                    self._filesystem.pipe_file(self._at(f"{path}/{name}"), content, mode="create")
                except FileExistsError as error:
                    raise FolderTaken(path) from error

    def replace(self, path: str, content: bytes) -> None:
        """Put the file; object stores replace an object in one step."""
        with _translated(self._root):
            self._filesystem.pipe_file(self._at(path), content)

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root


def _parts(stream: BinaryIO, at_most: int, throttle: Callable[[], None]) -> Iterator[bytes]:
    left = at_most
    while part := stream.read(min(left, _PART_BYTES)):
        yield bytes(part)
        left -= len(part)
        if len(part) == _PART_BYTES:
            throttle()


def _write_through(path: Path, content: bytes) -> None:
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def _translated(root: object) -> Iterator[None]:
    try:
        yield
    except (FolderTaken, ModelError):
        raise
    except Exception as error:  # a driver of fsspec's raises what its own library raises
        if files := exhausted(error):
            raise RepositoryUnavailable(
                f"the model repository {without_passwords(f'{root} cannot be used: {files}')}"
            ) from error
        is_refused = isinstance(error, PermissionError) or (
            isinstance(error, OSError) and error.errno in _REFUSED
        )
        raise (RepositoryRefused if is_refused else RepositoryUnavailable)(
            f"the model repository {without_passwords(f'{root} cannot be used: {_words(error)}')}. Check that it is "
            "there, and that you may read and write it, or set FLUMEN_MODELS_ROOT (or FLUMEN_HOME, whose folder "
            "`models` it is unless set) to another"
        ) from error


def _does_not_answer(error: OSError) -> bool:
    """Say whether a driver calls a file missing whose server did not answer, as fsspec's own for HTTP does."""
    cause = error.__cause__
    if isinstance(cause, OSError | TimeoutError):
        return not isinstance(cause, FileNotFoundError)
    status = getattr(cause, "status", None)  # of a response over HTTP
    if isinstance(status, int):
        return status not in _MISSING
    return type(cause).__module__.startswith("aiohttp.")  # cut off in the middle of a response


def _words(error: Exception) -> str:
    """Return what a driver says went wrong. Some say nothing, and a time that has run out often is such a one."""
    told = error.__cause__ if isinstance(error, OSError) and _does_not_answer(error) else error
    return str(told) or type(told).__name__
