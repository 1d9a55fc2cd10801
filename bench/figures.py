"""What the looks at a run say: rates, CPU by process and thread, memory, starts, delays. Numbers in, numbers out."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from bench.offsets import Commit, done_at
from bench.processes import BENCH, CHILDREN, OWN
from bench.race import MARKS, Look, Mark, Race

Cpu = dict[str, float]
"""Milliseconds of CPU in 1,000 images, by process."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a run. `thread_cpu_ms`: likewise, by `process: what the thread does`."""

    images_per_second: float
    cpu_ms: Cpu
    thread_cpu_ms: Cpu

    @property
    def cpu_ms_in_all(self) -> float:
        """Milliseconds in 1,000 images, the servers' with them."""
        return sum(milliseconds for name, milliseconds in self.cpu_ms.items() if name != BENCH)

    @property
    def own_cpu_ms(self) -> float:
        """The contender's alone, its child processes with it."""
        return sum(self.cpu_ms[name] for name in (OWN, CHILDREN))

    @property
    def images_per_core_second(self) -> float:
        """Images in a second of CPU, the servers' with it."""
        return 1e6 / self.cpu_ms_in_all


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. `steady`: from 25 to 75 % of it; None where the run was over between two looks.

    `memory`: bytes at 0, 25, 50, 75 and 100 %. `start_s`: from exec to the first image acknowledged; `first_batch_s`:
    to the same from the assignment.
    """

    whole: Span
    steady: Span | None
    memory: list[int]
    start_s: float
    first_batch_s: float


def figures(race: Race) -> Figures:
    """Return what a run says."""
    first = race.commits[0].at
    return Figures(
        whole=_whole(race),
        steady=_between(race.marks[1], race.marks[3]),
        memory=[mark.memory_bytes for mark in race.marks],
        start_s=first - race.executed_at,
        first_batch_s=first - race.assigned_at,
    )


def _whole(race: Race) -> Span:
    """From the assignment to the last commit, to the millisecond.

    CPU begins as between the two looks around the assignment, that by thread with the first look behind it; both end
    with the first look behind the last commit.
    """
    seconds = done_at(race.commits, race.images) - race.assigned_at
    start, end = cpu_at(race.looks, race.assigned_at), race.marks[-1].look.cpu_s
    threads = _difference(race.marks[0].thread_cpu_s, race.marks[-1].thread_cpu_s)
    return Span(
        race.images / seconds,
        _in_1000(_difference(start, end), race.images),
        largest(_in_1000(threads, race.images)),
    )


def _between(start: Mark, end: Mark) -> Span | None:
    images, seconds = end.look.done - start.look.done, end.look.at - start.look.at
    if not images:
        return None
    return Span(
        images / seconds,
        _in_1000(_difference(start.look.cpu_s, end.look.cpu_s), images),
        largest(_in_1000(_difference(start.thread_cpu_s, end.thread_cpu_s), images)),
    )


def cpu_at(looks: Sequence[Look], at: float) -> dict[str, float]:
    """Return the seconds of CPU by process at a time, as between the looks before and after it."""
    for former, latter in pairwise(looks):
        if former.at <= at < latter.at:
            share = (at - former.at) / (latter.at - former.at)
            return {
                name: seconds + share * (latter.cpu_s[name] - seconds)
                for name, seconds in former.cpu_s.items()
            }
    return dict(looks[0 if at < looks[0].at else -1].cpu_s)


def _difference(before: Mapping[Any, float], after: Mapping[Any, float]) -> dict[Any, float]:
    """Return what was added. A thread that has ended meanwhile says nothing."""
    return {key: max(0.0, seconds - before.get(key, 0.0)) for key, seconds in after.items()}


def _in_1000(seconds: Mapping[Any, float], images: int) -> dict[Any, float]:
    return {key: value * 1e6 / images for key, value in seconds.items()}


def delays_ms(published: Sequence[tuple[int, int, float]], commits: Sequence[Commit]) -> list[float]:
    """Return the milliseconds from each message's timestamp until it was done.

    `published`: partition, offset and the producer's timestamp in seconds. One that was never done is infinite.
    """
    done: dict[int, tuple[list[int], list[float]]] = {}
    for commit in commits:
        offsets, times = done.setdefault(commit.partition, ([], []))
        if not offsets or commit.offset > offsets[-1]:
            offsets.append(commit.offset)
            times.append(commit.at)
    delays = []
    for partition, offset, at in published:
        offsets, times = done.get(partition, ([], []))
        place = int(np.searchsorted(offsets, offset, side="right"))
        delays.append((times[place] - at) * 1000 if place < len(times) else float("inf"))
    return delays


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the least value that so many per cent are not above."""
    return float(np.percentile(values, percent, method="inverted_cdf"))


def middle(runs: Sequence[Figures]) -> Figures:
    """Return the run of the median rate, the slower one of two."""
    return sorted(runs, key=lambda run: run.whole.images_per_second)[(len(runs) - 1) // 2]


def largest(thread_cpu_ms: Mapping[tuple[str, str], float], least_ms: float = 1.0) -> Cpu:
    """Return the threads that take so much at least, and the rest of each process as `others`."""
    kept: defaultdict[str, float] = defaultdict(float)
    for (process, role), milliseconds in thread_cpu_ms.items():
        kept[f"{process}: {role if milliseconds >= least_ms else 'others'}"] += milliseconds
    return dict(kept)


assert MARKS[1] == 1 - MARKS[3], "the steady half lies between the second mark and the fourth"
