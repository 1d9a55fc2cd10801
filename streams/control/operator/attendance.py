"""For which workers a rollout waits, and how long without anything that they get done."""

import time
from collections.abc import Callable, Iterable, Sequence

from flumen.streams.control.operator.fleet import Seen
from flumen.streams.control.operator.members import Members

_ASK_AGAIN_S = 2.0


class Attendance:
    """Tells workers that hold a rollout up from those that it can leave out, for they take no images.

    Silent ones that are no members of their group are left out at once; others that are none, once they have had
    `grace_s` seconds to join it, from where the first thing is waited for. With `force` Kafka's word is not needed:
    whoever is not known as a member is left out, and what it says counts for nothing.
    """

    def __init__(
        self,
        ask: Callable[[], Members],
        grace_s: float,
        force: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make one. `ask` asks Kafka; it is called only where somebody keeps the rollout waiting."""
        self._ask = ask
        self._grace_s = grace_s
        self._force = force
        self._clock = clock
        self._answer: tuple[float, Members] | None = None
        self._began = clock()
        self._grace_ends: float | None = None
        self._progress: dict[str, tuple[tuple[int, int, int], float]] = {}

    def begin(self) -> None:
        """Let the times count from now: something new is waited for."""
        self._began = self._clock()
        if self._grace_ends is None:
            self._grace_ends = self._began + self._grace_s
        self._progress.clear()

    @property
    def waited_s(self) -> float:
        """The seconds since it began."""
        return self._clock() - self._began

    def holding_up(self, silent: Sequence[Seen]) -> list[Seen]:
        """Return the silent workers that may still take images."""
        return [] if self._force else self.counting(silent)

    def counting(self, workers: Sequence[Seen]) -> list[Seen]:
        """Return the workers that may take images: what these say counts."""
        left_out = self._absent(workers)
        return [seen for seen in workers if seen.status.worker not in left_out]

    def absent(self, waiting: Sequence[Seen]) -> set[str]:
        """Return which workers need not be waited for any more."""
        if self._grace_ends is None or self._clock() < self._grace_ends:
            return set()
        return self._absent(waiting)

    def idle(self, waiting: Iterable[Seen], timeout_s: float) -> list[tuple[Seen, float]]:
        """Return the workers that have got nothing done for too long, each with the seconds since it last did.

        None that need not be waited for is among them, also where that is so only since this moment. One that has just
        appeared has begun just now. One that begins again and again gets nothing done.
        """
        now, idle = self._clock(), []
        for seen in waiting:
            status = seen.status
            progress = (status.revision, status.heard, seen.headers.steps)
            best, since = self._progress.get(status.worker, (progress, now))
            if progress > best:
                best, since = progress, now
            self._progress[status.worker] = best, since
            if now - since > timeout_s:
                idle.append((seen, now - since))
        absent = self.absent([seen for seen, _ in idle])
        return [(seen, idle_s) for seen, idle_s in idle if seen.status.worker not in absent]

    def describe(self, seen: Seen) -> str:
        """Say what Kafka says of a worker, in a few words."""
        return self._members().describe(seen.status.worker, seen.group)

    def _absent(self, workers: Sequence[Seen]) -> set[str]:
        """Return which of these take no images, certainly or, with `force`, as far as Kafka says."""
        if not workers:
            return set()
        members = self._members()
        return {
            seen.status.worker
            for seen in workers
            if members.lacks(seen.status.worker, seen.group)
            or (self._force and not members.has(seen.status.worker))
        }

    def _members(self) -> Members:
        if self._answer is None or self._clock() - self._answer[0] >= _ASK_AGAIN_S:
            members = self._ask()  # which may take longer than its answer holds
            self._answer = self._clock(), members
        return self._answer[1]


def say_idle(attendance: Attendance, idle: Iterable[tuple[Seen, float]], revision: int) -> str:
    """Name each worker that gets nothing done: what it does, how long, and when it was heard of."""
    return "".join(
        f"\n  {seen.status.worker}: {seen.status.state} for {idle_s:.0f} s without a step, "
        + ("" if seen.status.heard >= revision else f"has not answered revision {revision}, ")
        + f"heard of {seen.age_s:.0f} s ago, {attendance.describe(seen)}"
        for seen, idle_s in idle
    )
