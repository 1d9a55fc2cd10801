"""How much of a core work in the background may take, whatever else the machine is busy with."""

import time
from collections.abc import Callable

NICENESS = 10
"""Of threads and processes beside the one that classifies."""

_LONGEST_REST_S = 5.0
"""After so long a rest is counted as a step: whoever looks sees that it goes on."""


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
        """Make one. `wait` returns after that many seconds; before, and true, where there is no time to rest any more.

        `working` is the processor time of what works, in seconds, and `clock` is any clock.
        """
        self._share = share
        self._wait = wait
        self._working = working
        self._clock = clock
        self._since = 0.0
        self._worked = 0.0
        self.steps = 0
        """Steps done and rests taken: it rises as long as the work goes on."""

    def __call__(self) -> None:
        """Rest until the work since the last call is no more than the share of the time since then."""
        self.steps += 1
        left = self._since + (self._working() - self._worked) / self._share - self._clock()
        while left > 0 and not self._wait(min(left, _LONGEST_REST_S)):
            left -= _LONGEST_REST_S
            self.steps += 1
        self._since, self._worked = self._clock(), self._working()
