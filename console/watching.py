"""Watching what moves: a source is asked in a thread of its own, and what it said last can be had at any time."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog

from flumen.streams.errors import StreamError

log = structlog.get_logger(__name__)

Said = TypeVar("Said")
Told_co = TypeVar("Told_co", covariant=True)

_AGAIN_S = 2.0
_STOPS_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Report(Generic[Told_co]):
    """What a source said last, None where it has said nothing yet, and why it says nothing now; empty where it does."""

    said: Told_co | None = None
    problem: str = ""


class Source(Protocol[Told_co]):
    """What is watched: over Kafka, or in memory for tests."""

    @property
    def latest(self) -> Report[Told_co]:
        """What it said last."""

    def start(self) -> None:
        """Begin to ask."""

    def stop(self) -> None:
        """Ask no more."""


class Watched(Generic[Said]):
    """Opens a source and asks it every so many seconds; one that fails is closed, and opened anew a little later.

    `opened` gives what is called to ask, for as long as it is open. Only the thread in here uses it.
    """

    def __init__(
        self,
        name: str,
        opened: Callable[[], AbstractContextManager[Callable[[], Said]]],
        every_s: float = 0.0,
    ) -> None:
        self.latest: Report[Said] = Report()
        self._opened = opened
        self._every_s = every_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more. A call that a server does not answer is left behind after two seconds."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(_STOPS_WITHIN_S)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                with self._opened() as ask:
                    while not self._ending.is_set():
                        self.latest = Report(ask())
                        self._ending.wait(self._every_s)
            except StreamError as error:
                self._fail(str(error))
            except Exception:
                log.exception("what the console watches failed", source=self._thread.name)
                self._fail("it failed; the console's log has the reason")
            self._ending.wait(_AGAIN_S)

    def _fail(self, problem: str) -> None:
        self.latest = Report(self.latest.said, problem)


class Fixed(Generic[Said]):
    """A source in memory, whose word is set by hand."""

    def __init__(self, said: Said | None = None, problem: str = "") -> None:
        self.latest: Report[Said] = Report(said, problem)

    def start(self) -> None:
        """See `Source.start`."""

    def stop(self) -> None:
        """See `Source.stop`."""
