"""How much of a core work in the background may take, whatever else the machine is busy with."""

import time
from collections.abc import Callable

NICENESS = 10
"""Of threads and processes beside the one that classifies."""


class CpuThrottle:
    """Makes one thread, and what works for it, rest between its steps, so that it has no more than its share of a core.

    A priority would not do: it counts among the threads of one container or session only, and the stores' servers
    or another worker are often in another. Nor does it help who waits for a lock that the thread holds.
    """

    def __init__(
        self,
        share: float,
        wait: Callable[[float], object],
        working: Callable[[], float] = time.thread_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make one. `wait` returns after that many seconds, or before where there is no time to rest any more.

        `working` is the processor time of what works, in seconds, and `clock` is any clock.
        """
        self._share = share
        self._wait = wait
        self._working = working
        self._clock = clock
        self._since = 0.0
        self._worked = 0.0

    def __call__(self) -> None:
        """Rest until the work since the last call is no more than the share of the time since then."""
        due = self._since + (self._working() - self._worked) / self._share
        left = due - self._clock()
        if left > 0:
            self._wait(left)
        self._since, self._worked = self._clock(), self._working()
