"""Is the worker getting anywhere? A pulse that the live path beats, and a watchdog that listens.

A worker that waits for a store, and knows it, is unhealthy and goes on waiting. One that makes no progress for a
reason that nobody foresaw is stopped: it holds messages that another worker could take.
"""

import asyncio
import threading
import time
from collections.abc import Callable

from streams.errors import Stalled

_LOOK_EVERY_S = 1.0


class Pulse:
    """When something was last finished, what is left to do, and what is waited for. Safe to use from any thread.

    `stalled_after_s`: so many seconds without progress, while there is something to do, are a stall.
    """

    def __init__(self, stalled_after_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stalled_after_s = stalled_after_s
        self._clock = clock
        self._lock = threading.Lock()
        self._progress_at = clock()
        self._lag = 0
        self._open_batches = 0
        self._waits: dict[str, tuple[float, str]] = {}

    @property
    def lag(self) -> int:
        """Messages of the assigned partitions that are not taken yet."""
        return self._lag

    def progressed(self) -> None:
        """Note that a batch was finished."""
        with self._lock:
            self._progress_at = self._clock()

    def observe(self, lag: int, open_batches: int) -> None:
        """Note what there is to do. Where that is nothing, there is no progress to be missed."""
        with self._lock:
            self._lag, self._open_batches = lag, open_batches
            if not lag and not open_batches:
                self._progress_at = self._clock()

    def waits_for(self, what: str, reason: str) -> bool:
        """Note that a server is waited for, such as `kudu`. Return whether that is news."""
        with self._lock:
            known = what in self._waits
            self._waits.setdefault(what, (self._clock(), reason))
        return not known

    def is_waiting_for(self, what: str) -> bool:
        """Say whether a server is waited for."""
        with self._lock:
            return what in self._waits

    def waits_no_more(self, what: str) -> float | None:
        """Note that it answers again; return for how many seconds it was waited for, None where it was not.

        The time spent waiting is no stall.
        """
        with self._lock:
            wait = self._waits.pop(what, None)
            if wait is None:
                return None
            self._progress_at = now = self._clock()
            return now - wait[0]

    def problem(self) -> str | None:
        """Return what keeps the worker from its work for longer than it should, or None."""
        with self._lock:
            now = self._clock()
            idle_s = now - self._progress_at
            left = f"{self._lag:,} messages and {self._open_batches} batches in hand are left to do"
            for what, (since, reason) in self._waits.items():
                # With Kafka down the partitions are lost after a while, and then there is no lag to be seen.
                if max(idle_s, now - since) > self._stalled_after_s:
                    return f"waiting for {what} for {now - since:.0f} s ({reason}); {left}"
            if idle_s <= self._stalled_after_s:
                return None
            return f"nothing was finished for {idle_s:.0f} s, and {left}"

    def stall(self) -> str | None:
        """Return the problem where it has lasted twice as long as allowed and no server explains it."""
        problem = self.problem()
        with self._lock:
            explained = bool(self._waits)
            lasted = self._clock() - self._progress_at > 2 * self._stalled_after_s
        return problem if lasted and not explained else None


async def watch(pulse: Pulse) -> None:
    """Look at the pulse until it has stalled.

    Raises:
        Stalled: it has, and the message says what was left to do.
    """
    while not (stall := pulse.stall()):
        await asyncio.sleep(_LOOK_EVERY_S)
    raise Stalled(f"the worker stops, so that others can go on: {stall}. What it held is delivered again")
