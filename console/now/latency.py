"""How long images take, by the histograms that workers say, over the last half minute."""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise

from flumen.streams.control.status_headers import Buckets

WINDOW_S = 30.0


def quantile(buckets: Buckets, share: float) -> float | None:
    """Return the quantile of a histogram, interpolated within its bucket as Prometheus' `histogram_quantile` does.

    That of a bucket without an end is where it begins. None where nothing was counted.
    """
    if not buckets or buckets[-1][1] <= 0:
        return None
    wanted = share * buckets[-1][1]
    for (low, below), (high, up_to) in pairwise(((0.0, 0), *buckets)):
        if up_to >= wanted and up_to > below:
            return (
                low
                if high == float("inf")
                else low + (high - low) * max(0.0, wanted - below) / (up_to - below)
            )
    return None


def added(histograms: Sequence[Buckets]) -> Buckets:
    """Return the sum of histograms; those with other bounds than most have are left out."""
    by_bounds: dict[tuple[float, ...], list[Buckets]] = {}
    for each in histograms:
        by_bounds.setdefault(tuple(bound for bound, _ in each), []).append(each)
    if not by_bounds:
        return ()
    bounds, same = max(by_bounds.items(), key=lambda item: len(item[1]))
    return tuple((bound, sum(each[at][1] for each in same)) for at, bound in enumerate(bounds))


class LatencyWindow:
    """Keeps what workers have said, for so long as is looked back."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._said: deque[tuple[float, Mapping[str, Buckets]]] = deque()

    def hear(self, at_s: float, said: Mapping[str, Buckets]) -> Buckets:
        """Take each worker's histogram since its start; return the one of all, over the window.

        A worker that was not known before is counted from now on; one that began anew, from its start.
        """
        self._said.append((at_s, said))
        while self._said[0][0] < at_s - self._window_s:
            self._said.popleft()
        before: dict[str, Buckets] = {}
        for _, earlier in self._said:
            for worker, buckets in earlier.items():
                before.setdefault(worker, buckets)
        return added([_since(before[worker], buckets) for worker, buckets in said.items() if buckets])


def _since(before: Buckets, now: Buckets) -> Buckets:
    began_anew = len(before) != len(now) or any(
        late[1] < early[1] for early, late in zip(before, now, strict=True)
    )
    if began_anew:
        return now
    return tuple((bound, count - early) for (_, early), (bound, count) in zip(before, now, strict=True))
