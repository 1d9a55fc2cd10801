"""The benchmark's tables: what is in them, with ratios beside the figures."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from bench import report
from bench.contenders import FULL, LOOP, SAME, in_processes
from bench.figures import Figures, Span
from bench.latency import Delays, Latency
from bench.peers.columns import IMAGE, STORED, indexed, stored
from bench.processes import CHILDREN, OWN
from bench.quick import kept
from bench.stages import Stage
from flumen.interceptor import DEFAULT_CHAIN, Kind, load_chain, merge_columns


def run(rate: float, cpu_ms: float, steady: bool = True) -> Figures:
    span = Span(rate, {OWN: cpu_ms, CHILDREN: 0.0, "solr": 100.0}, {f"{OWN}: intercept": cpu_ms / 2})
    return Figures(span, span if steady else None, [300_000_000] * 5, 4.5, 0.25)


RUNS = {LOOP.name: [run(3000, 300)], SAME.name: [run(6000, 100)], FULL.name: [run(4500, 150)]}
STAGES = [Stage("decode", 20_000, 50, 0), Stage("write to Solr", 9_000, 25, 50)]
DELAYS = Latency(Delays(60, 20, 40, 41), Delays(10_000, 45, 165, 200), 0.009)


def shown(show: Callable[[Console], None]) -> str:
    console = Console(file=io.StringIO(), width=240)
    show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def line(text: str, begins: str) -> list[str]:
    """Return the cells of the one row whose first has that in it."""
    (found,) = (each for each in text.splitlines() if each.startswith("│") and begins in each.split("│")[1])
    return [cell.strip() for cell in found.strip("│").split("│")]


def test_rates_have_ratios_to_the_loop_and_to_the_floor() -> None:
    text = shown(lambda console: report.show_rates(console, "Digits", RUNS, {FULL.name: 125.0}))
    assert line(text, FULL.name) == [
        FULL.name, "4,500", "1.50", "4,500", "4,500", "1.50", "150", "250", "0.62", "0.50",
    ]  # fmt: skip
    assert line(text, SAME.name)[-1] == "-"


def test_a_run_too_short_for_a_steady_half_says_so() -> None:
    runs = {LOOP.name: [run(3000, 300, steady=False)]}
    text = shown(lambda console: report.show_rates(console, "Digits", runs, {}))
    assert line(text, LOOP.name)[4] == "too short"
    assert "CPU by process" not in shown(lambda console: report.show_processes(console, runs))


def test_processes_and_threads_stand_by_contender() -> None:
    text = shown(lambda console: report.show_processes(console, RUNS))
    assert line(text, OWN) == [OWN, "300", "100", "150"]
    assert line(text, "in all") == ["in all", "400", "200", "250"]
    text = shown(lambda console: report.show_threads(console, RUNS))
    assert line(text, "intercept") == [f"{OWN}: intercept", "150.0", "50.0", "75.0"]


def test_starts_stages_and_delays() -> None:
    text = shown(lambda console: report.show_starts(console, RUNS))
    assert line(text, SAME.name) == [SAME.name, "4.5", "0.25", "300 300 300 300 300", "300"]
    text = shown(lambda console: report.show_stages(console, "Digits", STAGES))
    assert line(text, "write to Solr")[-2:] == ["75.0", "60%"]
    assert line(text, "floor")[-2:] == ["125.0", "100%"]
    text = shown(lambda console: report.show_latency(console, {LOOP.name: DELAYS}))
    assert line(text, LOOP.name) == [LOOP.name, "20", "40", "1.00", "45", "165", "1.00", "0.9%"]


def test_the_ratios_that_must_not_fall() -> None:
    assert kept(RUNS, STAGES) == pytest.approx(
        {
            f"{SAME.name}, of the loop, whole run": 2.0,
            f"{FULL.name}, of the loop, whole run": 1.5,
            f"{SAME.name}, of the loop, steady half": 2.0,
            f"{FULL.name}, of the loop, steady half": 1.5,
            f"{SAME.name}, images a second of CPU, of the loop": 2.0,
            f"{FULL.name}, images a second of CPU, of the loop": 1.6,
            f"{FULL.name}, floor of all its CPU": 0.5,
        }
    )


def test_workers_of_several_processes_are_measured() -> None:
    assert [each.processes for each in in_processes(3)] == [1, 2, 3]


def test_the_loop_writes_columns_that_flumen_has() -> None:
    declared = merge_columns(interceptor.columns for interceptor in load_chain(DEFAULT_CHAIN))
    ours = {column.name: column.kind for column in declared}
    for cell in IMAGE:
        assert cell.name in ours or cell in STORED
        assert cell.is_time == (ours.get(cell.name) is Kind.TIMESTAMP)
    assert {cell.name for cell in indexed()} < set(ours)
    assert [cell.name for cell in stored()][-2:] == ["chunks", "view_chunks"]
