"""What the benchmark makes of what it has seen: on made samples, with figures that can be told by hand."""

import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from bench.figures import Figures, Span, cpu_at, delays_ms, figures, largest, middle, percentile
from bench.offsets import Commit, done_at, parse
from bench.processes import BENCH, CHILDREN, OWN, Watched, role
from bench.race import Look, Mark, Race
from bench.stages import Stage, floor_ms

INTERCEPT = (OWN, "intercept")


def look(at: float, done: int, own_s: float, solr_s: float = 0.0) -> Look:
    return Look(at, done, {OWN: own_s, CHILDREN: 0.0, "solr": solr_s})


def mark(at: float, done: int, own_s: float, solr_s: float = 0.0) -> Mark:
    return Mark(look(at, done, own_s, solr_s), {INTERCEPT: own_s / 2}, memory_bytes=100 + done)


@pytest.fixture
def race() -> Race:
    """One of 1,000 images in 10 s: slow up to a quarter, then 100/s at 2 ms of CPU an image, and slow again."""
    marks = [
        mark(100, 0, 2),
        mark(104, 250, 4),
        mark(106.5, 500, 4.5),
        mark(109, 750, 5, 0.5),
        mark(111, 1000, 7),
    ]
    looks = [look(99, 0, 0), *(each.look for each in marks)]
    commits = [Commit(0, 100, 100.6), Commit(1, 400, 106.5), Commit(0, 600, 110.5)]
    return Race(1000, executed_at=95.0, assigned_at=100.5, looks=looks, marks=marks, commits=commits)


def test_the_whole_run_ends_with_the_last_commit_and_not_with_the_last_look(race: Race) -> None:
    whole = figures(race).whole
    assert whole.images_per_second == pytest.approx(1000 / 10.0)
    # At the assignment, half a second of four after the look that says 2 s: 2.25 s; and 7 s at the end.
    assert whole.cpu_ms[OWN] == pytest.approx(7000 - 2250)


def test_the_steady_half_is_that_between_a_quarter_and_three(race: Race) -> None:
    steady = figures(race).steady
    assert steady is not None
    assert steady.images_per_second == pytest.approx(500 / 5.0)
    assert steady.cpu_ms == pytest.approx({OWN: 2000.0, CHILDREN: 0.0, "solr": 1000.0})
    assert (steady.own_cpu_ms, steady.cpu_ms_in_all) == pytest.approx((2000.0, 3000.0))
    assert steady.images_per_core_second == pytest.approx(1e6 / 3000)
    assert steady.thread_cpu_ms == pytest.approx({f"{OWN}: intercept": 1000.0})


def test_who_looks_on_counts_for_nobody() -> None:
    assert Span(1.0, {OWN: 20.0, CHILDREN: 5.0, "solr": 10.0, BENCH: 7.0}, {}).cpu_ms_in_all == 35.0


def test_a_process_has_the_cpu_of_what_it_started(wait_until: Callable[..., Any]) -> None:
    burning = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    with subprocess.Popen([sys.executable, "-c", burning]) as process:
        watched = Watched(psutil.Process(process.pid), {})
        try:
            wait_until(lambda: watched.cpu_s()[CHILDREN] > 0.05, "the child process to be seen")
            assert watched.memory_bytes() > 0
            assert {(OWN, "main thread"), (CHILDREN, "main thread")} <= watched.thread_cpu_s().keys()
        finally:
            for each in [*psutil.Process(process.pid).children(), process]:
                each.kill()


def test_a_run_that_is_over_between_two_looks_has_no_steady_half(race: Race) -> None:
    ended = mark(101, 1000, 3)
    short = Race(1000, 95.0, 100.5, race.looks, [race.marks[0], *[ended] * 4], race.commits)
    assert figures(short).steady is None


def test_starts_and_memory(race: Race) -> None:
    found = figures(race)
    assert found.start_s == pytest.approx(5.6)
    assert found.first_batch_s == pytest.approx(0.1)
    assert found.memory == [100, 350, 600, 850, 1100]


def test_cpu_before_the_first_look_and_after_the_last_is_theirs() -> None:
    looks = [look(1, 0, 1), look(2, 0, 3)]
    assert [cpu_at(looks, at)[OWN] for at in (0, 1, 1.25, 2, 9)] == [1, 1, 1.5, 3, 3]


def test_small_threads_are_others() -> None:
    found = largest({(OWN, "intercept"): 20.0, (OWN, "a"): 0.5, (OWN, "b"): 0.25, ("solr", "c"): 0.5})
    assert found == {f"{OWN}: intercept": 20.0, f"{OWN}: others": 0.75, "solr: others": 0.5}


def test_the_delay_of_a_message_ends_with_the_first_commit_behind_it() -> None:
    commits = [Commit(0, 2, 10.0), Commit(1, 1, 10.1), Commit(0, 1, 10.2), Commit(0, 3, 10.3)]
    published = [(0, 0, 9.9), (0, 1, 9.95), (0, 2, 9.95), (1, 0, 10.0), (1, 1, 10.0), (2, 0, 10.0)]
    assert delays_ms(published, commits) == pytest.approx([100, 50, 350, 100, float("inf"), float("inf")])


def test_percentiles_are_delays_that_were_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, percent) for percent in (50, 99, 100)] == [50, 99, 100]
    assert percentile([1.0, float("inf")], 50) == 1.0


def test_done_when_the_partitions_together_hold_so_many() -> None:
    commits = [Commit(0, 5, 1.0), Commit(1, 4, 2.0), Commit(0, 4, 3.0), Commit(1, 5, 4.0)]
    assert [done_at(commits, images) for images in (5, 9, 10)] == [1.0, 2.0, 4.0]
    with pytest.raises(ValueError, match="only 10 of 11"):
        done_at(commits, 11)


def test_the_middle_of_the_runs() -> None:
    def run(rate: float) -> Figures:
        return Figures(Span(rate, {}, {}), None, [], 0.0, 0.0)

    assert middle([run(3), run(1), run(2)]).whole.images_per_second == 2
    assert middle([run(3), run(1)]).whole.images_per_second == 1


def test_the_floor_has_the_servers_in_it() -> None:
    assert floor_ms([Stage("decode", 1e4, 50, 0), Stage("write to Solr", 1e4, 20, 60)]) == 130


def commit_key(version: int, group: bytes = b"bench", topic: bytes = b"images", partition: int = 3) -> bytes:
    sizes = struct.pack(">h", len(group)) + group + struct.pack(">h", len(topic)) + topic
    return struct.pack(">h", version) + sizes + struct.pack(">i", partition)


def test_a_commit_is_read_as_kafka_writes_it() -> None:
    value = struct.pack(">hqih", 3, 12_345, 7, 0) + struct.pack(">q", 0)
    assert parse(commit_key(1), value, 1500) == (("bench", "images"), Commit(3, 12_345, 1.5))
    assert parse(commit_key(1), None, 1500) is None  # the group is gone
    assert parse(struct.pack(">hh", 2, 5) + b"bench", value, 1500) is None  # of the group's members


@pytest.mark.parametrize(
    ("thread", "expected"),
    [
        ("intercept_0", "intercept"),
        ("write-kudu_0", "write-kudu"),
        ("C2 CompilerThre", "JVM: JIT"),
        ("G1 Conc#0", "JVM: GC"),
        ("rdk:broker1", "librdkafka"),
        ("kudu-nio-3", "kudu-nio"),
        ("qtp1234-56", "Solr: requests"),
        ("reader", "reader"),
    ],
)
def test_threads_are_told_by_what_they_do(thread: str, expected: str) -> None:
    assert role(thread) == expected


def test_a_processs_first_thread_is_its_main_one() -> None:
    assert role("python", is_main=True) == "main thread"
