"""Is the worker getting anywhere? What the live path says of its progress, and a watchdog that acts on it.

A worker that waits for a store, and knows it, is unhealthy and goes on waiting. One that makes no progress for a
reason that nobody foresaw is stopped: it holds messages that another worker could take. One that starts holds none.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Set
from enum import Enum

import structlog

from flumen.streams.errors import Stalled

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 1.0


class _Phase(Enum):
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class Pulse:
    """When something was last finished, what is left to do, and what is waited for. Safe to use from any thread.

    `stalled_after_s`: so many seconds without progress, while there is something to do, are a problem; twice as many
    are a stall. Nothing stalls before `ready`.
    """

    def __init__(self, stalled_after_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stalled_after_s = stalled_after_s
        self._clock = clock
        self._lock = threading.Lock()
        self._phase = _Phase.STARTING
        self._progress_at = self._observed_at = clock()
        self._lag = 0
        self._open_batches = 0
        self._waits: dict[str, tuple[float, str]] = {}
        self._waiting: dict[str, float] = {}

    @property
    def lag(self) -> int:
        """Messages of the assigned partitions that are not taken yet."""
        return self._lag

    def ready(self) -> None:
        """Note that the start is over: from now on, there is progress to be missed."""
        with self._lock:
            self._phase = _Phase.READY
            self._progress_at = self._observed_at = self._clock()

    def stopping(self) -> None:
        """Note that nothing more is taken."""
        with self._lock:
            self._phase = _Phase.STOPPING

    def progressed(self) -> None:
        """Note that a batch was finished."""
        with self._lock:
            self._progress_at = self._clock()

    def observe(self, lag: int, open_batches: int, waiting: Set[str] = frozenset()) -> None:
        """Note what there is to do, every few seconds. Where that is nothing, there is no progress to be missed.

        `waiting`: where the next message stands of each partition that is being read and has one.
        """
        with self._lock:
            now = self._clock()
            self._waiting = {} if self._waits else {place: self._waiting.get(place, now) for place in waiting}
            self._lag, self._open_batches = lag, open_batches
            self._observed_at = self._clock()
            if not lag and not open_batches:
                self._progress_at = self._observed_at

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

    def unready(self) -> str | None:
        """Return why the worker classifies nothing now, or None: it starts or stops, or a server is waited for."""
        with self._lock:
            waits = [self._described(what) for what in self._waits]
            return "; ".join(waits if self._phase is _Phase.READY else [self._phase.value, *waits]) or None

    def problem(self) -> str | None:
        """Return what keeps the worker from its work for longer than it should, or None."""
        with self._lock:
            now = self._clock()
            idle_s = now - self._progress_at
            for what, (since, _) in self._waits.items():
                # With Kafka down the partitions are lost after a while, and then there is no lag to be seen.
                if max(idle_s, now - since) > self._stalled_after_s:
                    return f"{self._described(what)}; {self._left}"
            if self._phase is _Phase.STARTING and idle_s > self._stalled_after_s:
                return f"starting for {idle_s:.0f} s"
            return self._standstill(self._stalled_after_s) or self._unread()

    def unread(self) -> str | None:
        """Return which partition has given nothing for longer than it should, though there is something; or None."""
        with self._lock:
            return self._unread()

    def stall(self) -> str | None:
        """Return the problem where it has lasted twice as long as allowed and no server explains it."""
        with self._lock:
            return None if self._waits else self._standstill(2 * self._stalled_after_s)

    def _standstill(self, after_s: float) -> str | None:
        """Return what has not moved for so long, though it should have."""
        if self._phase is _Phase.STARTING:
            return None
        idle_s = self._clock() - self._progress_at
        # While partitions are taken from it, the reader waits for what is in hand of them.
        unheard_s = min(idle_s, self._clock() - self._observed_at)
        if idle_s > after_s and (self._lag or self._open_batches):
            unread = self._unread()
            return f"nothing was finished for {idle_s:.0f} s, and {self._left}" + (
                f"; {unread}" if unread else ""
            )
        if unheard_s > after_s:
            return f"nobody has looked for new messages for {unheard_s:.0f} s: the thread that reads hangs"
        return None

    def _unread(self) -> str | None:
        place, since = min(self._waiting.items(), key=lambda item: item[1], default=("", self._clock()))
        if self._clock() - since <= self._stalled_after_s:
            return None
        return (
            f"Kafka gives nothing of {place} and what stands behind it: its client may be unable to read that batch; "
            "docs/delivery.md says how to step over it"
        )

    @property
    def _left(self) -> str:
        return f"{self._lag:,} messages and {self._open_batches} batches in hand are left to do"

    def _described(self, what: str) -> str:
        since, reason = self._waits[what]
        return f"waiting for {what} for {self._clock() - since:.0f} s ({reason})"


async def run_watchdog(pulse: Pulse) -> None:
    """Look at the pulse until it has stalled. A partition that is not read on is logged: others may go on.

    Raises:
        Stalled: it has, and the message says what was left to do.
    """
    told = None
    while not (stall := pulse.stall()):
        unread = pulse.unread()
        if unread and unread != told:
            log.error("a partition is not read on", reason=unread)
        told = unread
        await asyncio.sleep(_LOOK_EVERY_S)
    raise Stalled(f"the worker stops, so that others can go on: {stall}. What it held is delivered again")
