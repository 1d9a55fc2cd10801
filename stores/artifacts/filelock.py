"""One process at a time: a lock on a file, held for a block."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

from flumen.stores.artifacts.folders import writing


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Wait for the lock on `path`, and hold it for the block. A process that dies releases it.

    Whoever holds the lock may remove the file, as the last thing: from then on another process can hold a new one.

    Raises:
        FolderUnusable: the file cannot be made.
    """
    descriptor = _lock(path)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int:
    while True:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            flock(descriptor, LOCK_EX)
            if _is_still(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """Say whether the path names the open file: removed meanwhile, it is not what the next process locks."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
