"""The two folders that are written: `FLUMEN_HOME` for data and records, `FLUMEN_CACHE` for what can be had again."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from flumen.stores.errors import FolderUnusable


def cache_root() -> Path:
    """Return the folder of what can be downloaded again: `FLUMEN_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("FLUMEN_CACHE")
    return Path(chosen).absolute() if chosen else Path(platformdirs.user_cache_dir("flumen"))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write a file in one of the two folders.

    Raises:
        FolderUnusable: it cannot be written; the message names it and the setting that leads elsewhere.
    """
    try:
        yield
    except OSError as error:
        setting = "FLUMEN_CACHE" if path.is_relative_to(cache_root()) else "FLUMEN_HOME"
        raise FolderUnusable(
            f"{path} cannot be written: {error.strerror or error}. Set {setting} to a folder that this user may write"
        ) from error


def is_writable(folder: Path) -> bool:
    """Say whether files can be made in a folder, or it can be made itself: by making one, which is gone at once."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
