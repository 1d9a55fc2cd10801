"""How much memory a worker has, with its processes."""

from collections.abc import Callable

import psutil

_EVERY_S = 10.0


class Resident:
    """Looks every ten seconds at the most: all processes of the machine are gone through. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._process = psutil.Process()
        self._looked: tuple[float, int] | None = None

    def in_bytes(self) -> int | None:
        """Return the resident memory of this process and those that it has started; what they share counts for each.

        None where the system does not say.
        """
        if self._looked is None or self._clock() - self._looked[0] >= _EVERY_S:
            try:
                own = self._process.memory_info().rss
                self._looked = self._clock(), own + sum(map(_of, self._process.children(recursive=True)))
            except psutil.Error:
                return None
        return self._looked[1]


def _of(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has ended meanwhile
        return 0
