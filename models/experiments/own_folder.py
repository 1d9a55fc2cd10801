"""A folder of a process for as long as it runs: what one that was killed has left, the next one removes."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path


@contextlib.contextmanager
def own_folder(prefix: str) -> Iterator[Path]:
    """Make a folder of a name that begins so, in that of temporary files, and remove it at the end.

    It is locked meanwhile, and the lock ends with its process. Others of such a name that belong to this user and that
    nobody has locked are removed first.
    """
    parent = Path(tempfile.gettempdir())
    _remove_abandoned(parent, prefix)
    lock, folder = _locked(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked(parent: Path, prefix: str) -> tuple[int, Path]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        with contextlib.suppress(OSError):  # a file system without locks: then nobody removes it, either
            flock(lock, LOCK_EX)
        if folder.is_dir():
            return lock, folder
        os.close(lock)  # another process took it for abandoned before it was locked


def _remove_abandoned(parent: Path, prefix: str) -> None:
    with os.scandir(parent) as entries:
        found = [entry.path for entry in entries if entry.name.startswith(prefix)]
    for path in found:
        with contextlib.suppress(OSError):  # another one's, a link, in use, or gone by now
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                flock(folder, LOCK_EX | LOCK_NB)
                if os.fstat(folder).st_uid == os.getuid():
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(folder)
