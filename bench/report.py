"""The figures as tables. Each says in a line what it shows; a figure without its ratio says nothing elsewhere."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console

from bench.contenders import LOOP
from bench.figures import Figures, Span, middle
from bench.latency import RATE, Latency
from bench.processes import BENCH, CHILDREN, OWN
from bench.stages import Stage, floor_ms
from bench.tables import show_table

Runs = Mapping[str, Sequence[Figures]]
"""The runs of each contender, by its name."""


def show_rates(console: Console, title: str, runs: Runs, floors: Mapping[str, float]) -> None:
    """Print a line a contender. `floors`: milliseconds of CPU in 1,000 images that its stages take alone, by name."""
    show_table(
        console,
        f"{title}: images/s, and of the hand-written loop",
        "Whole run: from the assignment to the last commit, the median of the runs. Steady: from 25 to 75 % of the "
        "median run. CPU: ms in 1,000 images of the steady half, the contender's own and with the servers'. Floor: its "
        "stages alone, summed.",
        (
            "who",
            "whole",
            "of loop",
            "runs",
            "steady",
            "of loop",
            "own CPU",
            "all CPU",
            "of loop",
            "floor / all",
        ),
        [_rate(who, runs, floors) for who in runs],
    )


def _rate(who: str, runs: Runs, floors: Mapping[str, float]) -> list[str]:
    base, steady = middle(runs[LOOP.name]).steady, middle(runs[who]).steady
    rate = _median(runs[who])
    row = [
        who,
        f"{rate:,.0f}",
        f"{rate / _median(runs[LOOP.name]):.2f}",
        " ".join(f"{each.whole.images_per_second:,.0f}" for each in runs[who]),
    ]
    if steady is None:
        return [*row, "too short"]
    own, in_all = steady.own_cpu_ms, steady.cpu_ms_in_all
    return [
        *row,
        f"{steady.images_per_second:,.0f}",
        "-" if base is None else f"{steady.images_per_second / base.images_per_second:.2f}",
        f"{own:,.0f}",
        f"{in_all:,.0f}",
        "-" if base is None else f"{in_all / base.cpu_ms_in_all:.2f}",
        f"{floors[who] / in_all:.2f}" if who in floors else "-",
    ]


def show_starts(console: Console, runs: Runs) -> None:
    """Print starts and memory."""
    show_table(
        console,
        "Start and memory",
        "Start: from exec to the first image acknowledged; first batch: to the same from the assignment; the median "
        "of the runs, s. Memory: the process and its child processes, shared pages once (PSS), MB, in the median run.",
        ("who", "start", "first batch", "memory at 0, 25, 50, 75, 100 %", "most"),
        [
            (
                who,
                f"{statistics.median(each.start_s for each in figures):.1f}",
                f"{statistics.median(each.first_batch_s for each in figures):.2f}",
                " ".join(f"{each / 1e6:.0f}" for each in middle(figures).memory),
                f"{max(max(each.memory) for each in figures) / 1e6:.0f}",
            )
            for who, figures in runs.items()
        ],
    )


def show_processes(console: Console, runs: Runs) -> None:
    """Print CPU by process, a column a contender; nothing where no run had a steady half."""
    steady = _steady(runs)
    names = dict.fromkeys(name for span in steady.values() for name in span.cpu_ms)
    rows = [(name, *(f"{span.cpu_ms.get(name, 0.0):,.0f}" for span in steady.values())) for name in names]
    if rows:
        rows.append(("in all", *(f"{span.cpu_ms_in_all:,.0f}" for span in steady.values())))
        says = f"ms in 1,000 images, in the steady half of the median run; {BENCH} looks on, and is not in the sum."
        show_table(console, "CPU by process", says, ("process", *steady), rows)


def show_threads(console: Console, runs: Runs) -> None:
    """Print CPU by thread, a column a contender, its own threads first; nothing where no run had a steady half."""
    steady = _steady(runs)
    names = dict.fromkeys(name for span in steady.values() for name in span.thread_cpu_ms)
    most = {name: max(span.thread_cpu_ms.get(name, 0.0) for span in steady.values()) for name in names}
    order = sorted(names, key=lambda name: (*_process(name), -most[name]))
    if order:
        show_table(
            console,
            "CPU by thread",
            "ms in 1,000 images, likewise. Threads that ended meanwhile are missing; `others`: those under 1 ms.",
            ("process: thread", *steady),
            [
                (name, *(f"{span.thread_cpu_ms.get(name, 0.0):.1f}" for span in steady.values()))
                for name in order
            ],
        )


def show_stages(console: Console, title: str, stages: Sequence[Stage]) -> None:
    """Print what each stage can do alone, and their sum."""
    floor = floor_ms(stages)
    rows = [
        (
            stage.name,
            f"{stage.images_per_second:,.0f}",
            f"{stage.own_cpu_ms:.1f}",
            f"{stage.server_cpu_ms:.1f}",
            f"{stage.cpu_ms:.1f}",
            f"{stage.cpu_ms / floor:.0%}",
        )
        for stage in stages
    ]
    own, theirs = sum(stage.own_cpu_ms for stage in stages), sum(stage.server_cpu_ms for stage in stages)
    show_table(
        console,
        f"{title}: each stage alone, one thread",
        "CPU: ms in 1,000 images, this process's and that of the server that answers it. Their sum is the floor.",
        ("stage", "images/s", "own CPU", "server's", "both", "of the floor"),
        [*rows, ("floor", "", f"{own:.1f}", f"{theirs:.1f}", f"{floor:.1f}", "100%")],
    )


def show_latency(console: Console, latencies: Mapping[str, Latency]) -> None:
    """Print delays and what idling takes. The loop is one of those who were measured."""
    base = latencies[LOOP.name]
    show_table(
        console,
        "Delay from published to stored in both",
        f"ms, each message, from its producer's timestamp to the commit of its offset. Idle: one image at a time, 0.2 "
        f"to 0.45 s apart; steady: {RATE} a second. Of loop: the medians. At rest: share of a core without images.",
        ("who", "idle p50", "p99", "of loop", "steady p50", "p99", "of loop", "at rest"),
        [
            (
                who,
                f"{one.idle.p50:.0f}",
                f"{one.idle.p99:.0f}",
                f"{one.idle.p50 / base.idle.p50:.2f}",
                f"{one.steady.p50:.0f}",
                f"{one.steady.p99:.0f}",
                f"{one.steady.p50 / base.steady.p50:.2f}",
                f"{one.idle_core:.1%}",
            )
            for who, one in latencies.items()
        ],
    )


def ratios(runs: Runs) -> dict[str, float]:
    """Return the rate of each contender's whole run, of the loop's: medians."""
    return {who: _median(figures) / _median(runs[LOOP.name]) for who, figures in runs.items()}


def _median(figures: Iterable[Figures]) -> float:
    return statistics.median(each.whole.images_per_second for each in figures)


def _steady(runs: Runs) -> dict[str, Span]:
    spans = {who: middle(figures).steady for who, figures in runs.items()}
    return {who: span for who, span in spans.items() if span is not None}


def _process(name: str) -> tuple[bool, str]:
    process = name.partition(":")[0]
    return process not in (OWN, CHILDREN), process
