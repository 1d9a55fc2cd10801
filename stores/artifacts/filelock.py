"""One process at a time: a lock on a file, held for a block."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from flumen.stores.artifacts.folders import writing

_LOOK_EVERY_S = 0.05


@contextmanager
def exclusive(path: Path, longest_s: float = float("inf")) -> Iterator[None]:
    """Wait for the lock on `path`, for at most so many seconds, and hold it for the block.

    A process that dies releases it; one that is frozen does not. Whoever holds the lock may remove the file, as the
    last thing: from then on another process can hold a new one.

    Raises:
        FolderUnusable: the file cannot be made.
        TimeoutError: another process holds it for longer.
    """
    descriptor = _lock(path, longest_s)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path, longest_s: float) -> int:
    until = time.monotonic() + longest_s
    while True:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            _wait(descriptor, path, until)
            if _is_still(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _wait(descriptor: int, path: Path, until: float) -> None:
    if until == float("inf"):
        flock(descriptor, LOCK_EX)
        return
    while True:
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                raise TimeoutError(f"another process holds {path}, and goes on doing so") from error
            time.sleep(_LOOK_EVERY_S)
        else:
            return


def _is_still(path: Path, descriptor: int) -> bool:
    """Say whether the path names the open file: removed meanwhile, it is not what the next process locks."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
