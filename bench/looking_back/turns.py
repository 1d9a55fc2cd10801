"""Two or more ways to do the same, in turns, so that a slow spell of the machine hits all of them."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turns:
    """What each way took: seconds, one a turn, by its name. Each has done `rows` in each turn.

    `cpu_s` likewise: seconds of this process's CPU, in which those of servers and of other processes are not.
    """

    rows: int
    seconds: Mapping[str, Sequence[float]]
    cpu_s: Mapping[str, Sequence[float]]

    def rate(self, name: str) -> float:
        """Rows a second: the median."""
        return self.rows / statistics.median(self.seconds[name])

    def shares(self, name: str, *of: str) -> list[float]:
        """The rate of one way by that of others, one after another, turn by turn."""
        return _shares(self.seconds, name, of)

    def cpu_shares(self, name: str, *of: str) -> list[float]:
        """Likewise by CPU: what others take by what one takes. Beside busy neighbours it says more."""
        return _shares(self.cpu_s, name, of)

    def cpu_us(self, name: str) -> float:
        """Microseconds of CPU a row: the median."""
        return statistics.median(self.cpu_s[name]) / self.rows * 1e6


def _shares(took: Mapping[str, Sequence[float]], name: str, of: Sequence[str]) -> list[float]:
    bare = [sum(each) for each in zip(*(took[other] for other in of), strict=True)]
    return [limit / one for limit, one in zip(bare, took[name], strict=True)]


def take_turns(rows: int, ways: Mapping[str, Callable[[], int]], repeats: int) -> Turns:
    """Do each in turn, once to warm up and then `repeats` times. Each returns how many rows it has seen.

    Raises:
        SystemExit: one has seen others than `rows`.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    cpu_s: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats + 1):
        for name, do in ways.items():
            started, used = time.perf_counter(), time.process_time()
            seen = do()
            took, used = time.perf_counter() - started, time.process_time() - used
            if seen != rows:
                raise SystemExit(f"{name}: {seen:,} of {rows:,} rows were seen")
            if number:
                seconds[name].append(took)
                cpu_s[name].append(used)
    return Turns(rows, seconds, cpu_s)
