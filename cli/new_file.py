"""A file that is there as a whole or not at all: what is written stands under another name until it is done."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from flumen.streams.errors import NotSaved


@contextmanager
def new_file(path: Path, force: bool) -> Iterator[BinaryIO]:
    """Give a file to write to, which becomes `path` at the end of the block; with an error, nothing is left of it.

    Raises:
        NotSaved: it is there and `force` is not given, or is no regular file, or cannot be written.
    """
    path = path.resolve()  # what a link leads to is replaced, not the link
    if path.exists() and not path.is_file():
        raise NotSaved(f"{str(path)!r} is no regular file; name another one")
    if path.exists() and not force:
        raise _is_there(path)
    draft = path.with_name(f".flumen-{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        file = draft.open("xb")
    except OSError as error:
        raise NotSaved(f"{str(path)!r} cannot be written: {error.strerror}. Name another file") from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if force:
            draft.replace(path)
        else:
            path.hardlink_to(draft)  # fails, where one has come meanwhile
    except FileExistsError as error:
        raise _is_there(path) from error
    finally:
        draft.unlink(missing_ok=True)


def _is_there(path: Path) -> NotSaved:
    return NotSaved(f"{str(path)!r} exists already; name another file, or add --force")
