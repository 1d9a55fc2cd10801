"""Opening what was found, and nothing else: a folder that somebody else fills may hold links to anything.

A file below a folder is opened step by step from that folder, and no step follows a link, so that nothing leads
outside also where a file becomes a link after it was looked at.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_STEP = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LAST = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would be waited for


def open_below(root: Path | None, path: Path, *, follow_links: bool = False) -> BinaryIO:
    """Open a file for reading.

    Args:
        root: the folder that it has to lie in, `path` included; None for a file that the user has named.
        path: of the file, beginning with `root`.
        follow_links: whether links are followed, if they stay within the folder.

    Raises:
        OSError: it cannot be opened, is no regular file, or is a link that is not followed.
    """
    if root is None:
        return _regular(os.open(path, _LAST & ~os.O_NOFOLLOW), path)
    if follow_links:
        root, path = _resolved(root), _resolved(path)
        if not path.is_relative_to(root):
            raise OSError(errno.EXDEV, "it is a link that leads outside of the folder", str(path))
    folder = os.open(root, _STEP & ~os.O_NOFOLLOW)
    try:
        *steps, name = path.relative_to(root).parts
        for step in steps:
            above, folder = folder, os.open(step, _STEP, dir_fd=folder)
            os.close(above)
        return _regular(os.open(name, _LAST, dir_fd=folder), path)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise OSError(
                error.errno, "a link is on the way to it, and is not followed", str(path)
            ) from error
        raise
    finally:
        os.close(folder)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve(strict=True)
    except RuntimeError as error:  # what Python 3.11 and 3.12 raise for a link that leads to itself
        raise OSError(errno.ELOOP, "it is a link that leads round in a circle", str(path)) from error


def _regular(descriptor: int, path: Path) -> BinaryIO:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    os.set_blocking(descriptor, True)
    return open(descriptor, "rb")
