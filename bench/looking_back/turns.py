"""Two or more ways to do the same, in turns, so that a slow spell of the machine hits all of them."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turns:
    """What each way took: seconds, one a turn, by its name. Each has done `rows` in each turn."""

    rows: int
    seconds: Mapping[str, Sequence[float]]

    def rate(self, name: str) -> float:
        """Rows a second: the median."""
        return self.rows / statistics.median(self.seconds[name])

    def shares(self, name: str, *of: str) -> list[float]:
        """The rate of one way by that of others, one after another, turn by turn."""
        bare = [sum(each) for each in zip(*(self.seconds[other] for other in of), strict=True)]
        return [limit / took for limit, took in zip(bare, self.seconds[name], strict=True)]


def take_turns(rows: int, ways: Mapping[str, Callable[[], int]], repeats: int) -> Turns:
    """Do each in turn, once to warm up and then `repeats` times. Each returns how many rows it has seen.

    Raises:
        SystemExit: one has seen others than `rows`.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats + 1):
        for name, do in ways.items():
            started = time.perf_counter()
            seen = do()
            took = time.perf_counter() - started
            if seen != rows:
                raise SystemExit(f"{name}: {seen:,} of {rows:,} rows were seen")
            if number:
                seconds[name].append(took)
    return Turns(rows, seconds)
