"""A folder that files are put into: which of them are ready to be published, and which were, also before a restart.

As Flume's spooling directory, without its demands: files may be moved away, replaced or written in place. What was
published is remembered in a file of the folder itself, so that it holds wherever the folder is mounted.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from flumen.streams.errors import NotRemembered, SourceUnreadable
from flumen.streams.publishing.sources.files import FoundFile, OnUnreadable, find_files, unreadable

RECORD = ".flumen-published.sqlite"
UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".swp", "~")
"""What names end in while browsers, copying programs and editors still write."""


@dataclass(frozen=True, slots=True)
class _State:
    """What tells a file from what it was before."""

    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class _Look:
    """How a file was when it was last found to have changed, and when that was, in the clock's seconds."""

    state: _State
    since: float


class Spool:
    """One folder, all the way down. One process at a time may have it open.

    A file is ready when neither its size nor its time of change has changed for `settle_s` seconds of this process's
    own clock: other machines' clocks may be wrong.
    """

    def __init__(
        self,
        folder: Path,
        settle_s: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        follow_links: bool = False,
    ) -> None:
        """Open the folder's record, or make it. `follow_links` as in `find_files`.

        Raises:
            SourceUnreadable: there is no such folder, its record cannot be written, or another process has it.
        """
        self.folder = folder
        self._settle_s = settle_s
        self._clock = clock
        self._follow_links = follow_links
        self._looks: dict[bytes, _Look] = {}
        self._refused: dict[bytes, _State] = {}
        self._record = _open_record(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def ready(self, on_unreadable: OnUnreadable) -> list[FoundFile]:
        """Look at the folder, and return what is to be published now, in the order of names.

        Raises:
            SourceUnreadable: the folder is not there (any more).
        """
        if not self.folder.is_dir():
            raise SourceUnreadable(f"the folder {str(self.folder)!r} is not there")
        now = self._clock()
        before, self._looks = self._looks, {}
        found = []
        for file in find_files([self.folder], on_unreadable, follow_links=self._follow_links):
            state = _state_of(file.path)
            if state is None or file.path.name.lower().endswith(UNFINISHED):
                continue
            key = _key(self.folder, file)
            look = before.get(key)
            self._looks[key] = look = look if look and look.state == state else _Look(state, now)
            if now - look.since >= self._settle_s and state not in (
                self._published(key),
                self._refused.get(key),
            ):
                found.append(file)
        return found

    def published(self, files: Iterable[FoundFile]) -> None:
        """Remember files, as they were when they were found ready, as published; for ever, when this returns.

        Raises:
            NotRemembered: the record cannot be written.
        """
        rows = []
        for file in files:
            key = _key(self.folder, file)
            state = self._looks[key].state
            rows.append((key, state.size, state.modified_ns))
        try:
            with self._record:
                self._record.executemany("insert or replace into published values (?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise NotRemembered(
                f"what was published cannot be written to {str(self.folder / RECORD)!r}: {error}. Make room for it and "
                "start again: these files are then published once more, and stored once"
            ) from error

    def refused(self, file: FoundFile) -> None:
        """Leave a file alone until it changes or this process starts again."""
        key = _key(self.folder, file)
        self._refused[key] = self._looks[key].state

    def close(self) -> None:
        """Let another process have the folder."""
        self._record.close()

    def _published(self, key: bytes) -> _State | None:
        row = self._record.execute(
            "select size, modified_ns from published where file = ?", (key,)
        ).fetchone()
        return None if row is None else _State(*row)


def _open_record(folder: Path) -> sqlite3.Connection:
    try:
        is_folder = folder.is_dir()
    except OSError as error:
        raise unreadable(folder, error) from error
    if not is_folder:
        raise SourceUnreadable(f"{str(folder)!r} is no folder; nothing was published")
    path = folder / RECORD
    if path.is_symlink():
        raise SourceUnreadable(
            f"{str(path)!r}, which says what was published, is a link, and would be written through it; remove it"
        )
    record = sqlite3.connect(path, timeout=0) if os.access(folder, os.W_OK) else None
    try:
        if record is None:
            raise sqlite3.OperationalError("the folder may not be written")
        record.execute("pragma locking_mode = exclusive")
        with record:
            record.execute("begin exclusive")
            record.execute(
                "create table if not exists published "
                "(file blob primary key, size integer not null, modified_ns integer not null) without rowid"
            )
    except sqlite3.Error as error:
        if record is not None:
            record.close()
        if getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY":
            raise SourceUnreadable(
                f"another process watches {str(folder)!r}; end it first, or watch another folder"
            ) from error
        raise SourceUnreadable(
            f"{str(path)!r}, which says what was published, cannot be used: {error}. Make the folder writable; if the "
            "file is damaged, remove it: everything in the folder is then published again, and stored once"
        ) from error
    return record


def _state_of(path: Path) -> _State | None:
    try:
        found = path.stat()
    except OSError:  # it was there a moment ago
        return None
    return _State(found.st_size, found.st_mtime_ns)


def _key(folder: Path, file: FoundFile) -> bytes:
    return os.fsencode(file.path.relative_to(folder))
