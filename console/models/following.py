"""The fleet, followed by one thread for all who look at it, and only while somebody does."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flumen.streams.control.operator.fleet import Fleet, FleetView
from flumen.streams.errors import StreamError

_LOOKS_EVERY_S = 0.5
_TRIES_AGAIN_S = 2.0
_NOTHING_YET = "Kafka has not answered yet; `flumen status` says whether it runs"


@dataclass(frozen=True, slots=True)
class Known:
    """The fleets by their models as they were last heard of; where that is not known, why."""

    views: Mapping[str, FleetView]
    error: str = ""


class FollowedFleet:
    """Keeps what was last heard of the fleets. Any thread may ask.

    Args:
        open_fleet: reads the topics to their ends; raises StreamError.
        idle_s: it ends following when nobody has asked for so many seconds.
    """

    def __init__(self, open_fleet: Callable[[], Fleet], idle_s: float = 60.0) -> None:
        self._open = open_fleet
        self._idle_s = idle_s
        self._changed = threading.Condition()
        self._known: Known | None = None
        self._thread: threading.Thread | None = None
        self._asked_s = 0.0
        self._is_closed = False

    def known(self, timeout_s: float = 5.0) -> Known:
        """Return what is known; where that is nothing yet, wait for it at most so many seconds."""
        with self._changed:
            self._asked_s = time.monotonic()
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._follow, name="console-fleet", daemon=True)
                self._thread.start()
            self._changed.wait_for(lambda: self._known is not None, timeout_s)
            return self._known or Known({}, _NOTHING_YET)

    def close(self) -> None:
        """End following, and wait until it has."""
        with self._changed:
            self._is_closed, thread = True, self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join(_TRIES_AGAIN_S)

    def _follow(self) -> None:
        while self._goes_on():
            try:
                with self._open() as fleet:
                    while self._goes_on():
                        self._tell(Known({model: fleet.view(model) for model in fleet.models()}))
                        fleet.listen(_LOOKS_EVERY_S)
            except StreamError as error:
                self._tell(Known({}, str(error)))
                with self._changed:
                    self._changed.wait_for(lambda: self._is_closed, _TRIES_AGAIN_S)

    def _goes_on(self) -> bool:
        with self._changed:
            goes_on = not self._is_closed and time.monotonic() - self._asked_s < self._idle_s
            if not goes_on:
                self._thread = self._known = None
            return goes_on

    def _tell(self, known: Known) -> None:
        with self._changed:
            self._known = known
            self._changed.notify_all()
