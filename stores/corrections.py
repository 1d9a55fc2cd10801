"""The seam for corrections: what was said of stored images afterwards, in one order that all see alike.

A correction has a number, and it counts once it and all before it are there. So whoever has read up to a number needs
to look for the next one alone: where that is not there, none that counts is behind it.
`docs/corrections.md` says what follows from that.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

SCHEMA = 1

LABEL, DELETE, RESTORE, ERASED = "label", "delete", "restore", "erased"
"""Kinds of corrections. `erased` is what is left of a label whose image was deleted; it says nothing any more."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction of one image.

    `kind` is `label` (`knownlabel` is the class from now on, or None for no class), `delete` (the image is taken out
    and kept out), `restore` (it may come again) or `erased`. `corrected_at` and `done_at`, microseconds since the
    epoch: when it was asked for, and when it was in every store, None before that. `sequence` is its number, from 1; 0
    before it has one.
    """

    id: str
    kind: str
    actor: str
    corrected_at: int
    reason: str = ""
    knownlabel: int | None = None
    done_at: int | None = None
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What the corrections of an image come to: it is deleted, or its label is another one than its publisher's."""

    deleted: bool
    knownlabel: int | None = None


class CorrectionLog(Protocol):
    """Where corrections stand. One thread at a time uses it.

    Every method raises StoreUnavailable where the server does not answer, and StoreClosed before `connect`.
    """

    @property
    def name(self) -> str:
        """The store's name, such as `kudu`."""

    def connect(self) -> None:
        """Open the log; make it where it is not there.

        Raises:
            SchemaMismatch: there is something else of its name.
        """

    def append(self, corrections: Sequence[Correction]) -> Sequence[Correction]:
        """Give corrections their numbers, behind all that are there, and return them with these.

        When it returns, every reader sees all of them.

        Raises:
            StoreUnavailable: some of them may be there; append them again, which is no harm.
            StoreRefused: one of them cannot be stored; nothing is.
        """

    def read_from(self, sequence: int) -> Iterable[Correction]:
        """Yield the corrections from this number on, in order and without a gap, until one is not there.

        Those before it are there. Some are in memory at a time, however many there are.
        """

    def close_gaps(self) -> None:
        """Give every number a correction, up to the last that has one, so that all that is there is read.

        An append that ended in its middle may leave some behind a number that is missing. Nobody reads them, until that
        number is given; what is appended after that would then come before them. `append` does this first.
        """

    def mark_done(self, corrections: Sequence[Correction], done_at: int) -> None:
        """Write down when corrections were in every store, and change nothing else of them."""

    def erase(self, corrections: Sequence[Correction]) -> None:
        """Leave nothing of corrections but their numbers, ids and times; their kind is `erased`."""

    def of_images(self, ids: Set[str]) -> Sequence[Correction]:
        """Return every correction of these images, by number."""

    def unfinished(self) -> Sequence[Correction]:
        """Return the corrections that are not known to be in every store, by number."""

    def close(self) -> None:
        """Release the connection. A second call does nothing."""


class CurrentCorrections:
    """What the corrections come to, kept in memory and brought up to date by one look at the log. For any thread."""

    def __init__(self, log: CorrectionLog) -> None:
        self._log = log
        self._next = 1
        self._standings: dict[str, Standing] = {}
        # There are few that differ, and many images that they hold for.
        self._known: dict[Standing, Standing] = {}
        self._lock = Lock()

    @property
    def name(self) -> str:
        """The name of the store that has the log."""
        return self._log.name

    def connect(self) -> None:
        """Open the log and read all of it. Raises as `CorrectionLog.connect`."""
        with self._lock:
            self._log.connect()
            self._follow()

    def look(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        """Return what holds for these images at a moment after the call, by id; most images are not in it.

        Raises:
            StoreUnavailable: the log does not answer.
        """
        with self._lock:
            self._follow()
            if not self._standings:
                return {}
            return {image_id: self._standings[image_id] for image_id in self._standings.keys() & set(ids)}

    def close(self) -> None:
        """Close the log. A second call does nothing."""
        with self._lock:
            self._log.close()

    def _follow(self) -> None:
        for correction in self._log.read_from(self._next):
            self._apply(correction)
            self._next = correction.sequence + 1

    def _apply(self, correction: Correction) -> None:
        match correction.kind:
            case "label":
                standing = Standing(deleted=False, knownlabel=correction.knownlabel)
            case "delete":
                standing = Standing(deleted=True)
            case "restore":
                self._standings.pop(correction.id, None)
                return
            case _:
                return
        self._standings[correction.id] = self._known.setdefault(standing, standing)
