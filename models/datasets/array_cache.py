"""Data sets kept as arrays in a folder: each made once, whole or not at all; the oldest go when there are many.

An entry is named by what it holds (`KEY`), is made under another name (`KEY.making`), and renamed. Whoever makes or
removes it holds a lock on `KEY.lock`, which ends with its process: what is found unfinished under a lock that is free
was left by a process that is gone.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from flumen.models.datasets.arrays import DESCRIPTION, SCHEMA, open_arrays, selection_of, write_arrays
from flumen.models.datasets.dataset import Dataset
from flumen.models.datasets.fingerprint import canonical
from flumen.models.datasets.source import ImageSource
from flumen.models.datasets.split import Split
from flumen.models.errors import ArraysUnwritable, DatasetInvalid

DEFAULT_MAX_BYTES = 32 * 1024**3
_MAKING, _LOCK = ".making", ".lock"


class ArrayCache:
    """The folder. When its entries are over `max_bytes`, those that were not used for longest go."""

    def __init__(self, folder: Path, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def dataset(
        self, source: ImageSource, split: Split, report: Callable[[int], None] = lambda _: None
    ) -> Dataset:
        """Return a source's images as a data set; read them, where they are not here in the source's present state.

        Two processes that want the same one at once read it once: the second waits.

        Args:
            source: where the images are.
            split: which of them are to learn from, to choose by and to test on.
            report: called with how many images have been read, while they are.

        Raises:
            DatasetInvalid: the source cannot be read, or gives no data to learn from.
            ArraysUnwritable: there is no room, or the folder cannot be written.
        """
        whole = {"schema": SCHEMA, "state": source.state, "selection": selection_of(source, split)}
        key = hashlib.sha256(canonical(whole)).hexdigest()[:32]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with _locked(self._folder / f"{key}{_LOCK}"):
                dataset = self._find(key) or self._make(key, source, split, report)
            self._remove_old(key)
        except OSError as error:
            raise ArraysUnwritable(
                f"{self._folder} cannot hold the data set: {error.strerror or error}. Make room there, or set "
                "FLUMEN_CACHE to a folder with more of it"
            ) from error
        return dataset

    def _find(self, key: str) -> Dataset | None:
        folder = self._folder / key
        try:
            dataset = open_arrays(folder)
        except DatasetInvalid:
            shutil.rmtree(folder, ignore_errors=True)
            return None
        os.utime(folder)
        return dataset

    def _make(self, key: str, source: ImageSource, split: Split, report: Callable[[int], None]) -> Dataset:
        self._remove_unfinished()
        making = self._folder / f"{key}{_MAKING}"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        try:
            write_arrays(source, split, making, report)
            self._share(making)
            making.rename(self._folder / key)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
        return open_arrays(self._folder / key)

    def _share(self, making: Path) -> None:
        """Let files be those of another entry of the same data: whoever reads Kudu anew finds mostly the same."""
        description = (making / DESCRIPTION).read_bytes()
        for other in self._folder.glob(f"*/{DESCRIPTION}"):
            # They may go at any time, or be on a file system without links; then there are two of each.
            with contextlib.suppress(OSError):
                if other.parent == making or other.read_bytes() != description:
                    continue
                for file in sorted(making.iterdir()):
                    same = other.parent / file.name
                    if same.stat().st_size == file.stat().st_size:
                        linked = file.with_suffix(".linked")
                        os.link(same, linked)
                        linked.replace(file)
                return

    def _remove_unfinished(self) -> None:
        for folder in self._folder.glob(f"*{_MAKING}"):
            with self._if_free(folder.name.removesuffix(_MAKING)) as free:
                if free:
                    shutil.rmtree(folder, ignore_errors=True)

    def _remove_old(self, kept: str) -> None:
        entries = sorted(
            (each.parent for each in self._folder.glob(f"*/{DESCRIPTION}") if each.parent.suffix != _MAKING),
            key=lambda folder: (folder.name == kept, _used(folder)),
            reverse=True,
        )
        size = 0
        for folder in entries:
            size += _bytes(folder)
            if size <= self._max_bytes or folder.name == kept:
                continue
            with self._if_free(folder.name) as free:
                if free:
                    shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _if_free(self, key: str) -> Iterator[bool]:
        """Lock an entry for the block, if nobody else has it."""
        path = self._folder / f"{key}{_LOCK}"
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(descriptor)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for a lock. The file stays: removed, another process could lock a new one beside it."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        flock(descriptor, LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _used(folder: Path) -> float:
    with contextlib.suppress(OSError):
        return folder.stat().st_mtime
    return 0.0


def _bytes(folder: Path) -> int:
    """Return how many bytes an entry takes; those of a file that it shares are divided among all that do."""
    size = 0
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):
            found = path.stat()
            size += found.st_size // found.st_nlink
    return size
