"""Corrections in memory."""

from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from threading import Lock

from flumen.stores.corrections import ERASED, Correction
from flumen.stores.errors import StoreClosed
from flumen.stores.memory.store import MemoryStore

_LOCK = Lock()


class MemoryCorrections:
    """`flumen.stores.corrections.CorrectionLog` over a memory store's list of them."""

    name = "memory"

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._is_open = False

    def connect(self) -> None:
        """Take the store."""
        self._store.ask()
        self._is_open = True

    def append(self, corrections: Sequence[Correction]) -> Sequence[Correction]:
        """Add corrections behind the last one."""
        there = self._corrections()
        with _LOCK:
            first = len(there) + 1
            given = [replace(each, sequence=number) for number, each in enumerate(corrections, start=first)]
            there += given
        return given

    def read_from(self, sequence: int) -> Sequence[Correction]:
        """Return those from this number on."""
        return self._corrections()[sequence - 1 :]

    def close_gaps(self) -> None:
        """Do nothing: there are none."""
        self._corrections()

    def mark_done(self, corrections: Sequence[Correction], done_at: int) -> None:
        """Give those of these numbers a time."""
        self._change(corrections, lambda each: replace(each, done_at=done_at))

    def erase(self, corrections: Sequence[Correction]) -> None:
        """Take from those of these numbers what they said."""
        self._change(
            corrections, lambda each: replace(each, kind=ERASED, knownlabel=None, actor="", reason="")
        )

    def of_images(self, ids: Set[str]) -> Sequence[Correction]:
        """Return those of these images."""
        return [each for each in self._corrections() if each.id in ids]

    def unfinished(self) -> Sequence[Correction]:
        """Return those without a time."""
        return [each for each in self._corrections() if each.done_at is None]

    def close(self) -> None:
        """Let go of the store; the corrections stay. A second call does nothing."""
        self._is_open = False

    def _change(self, corrections: Sequence[Correction], changed: Callable[[Correction], Correction]) -> None:
        there = self._corrections()
        with _LOCK:
            for each in corrections:
                there[each.sequence - 1] = changed(there[each.sequence - 1])

    def _corrections(self) -> list[Correction]:
        if not self._is_open:
            raise StoreClosed("the corrections in memory are not connected: call connect() first")
        self._store.ask()
        return self._store.corrections
