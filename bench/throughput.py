"""`make bench`: images a second, end to end, against a hand-written loop and against each stage's own limit.

One run, the same messages for all, one after another on the same machine; a contender's clock runs from the moment its
partitions are assigned until the last offset is committed. Nothing else should run meanwhile.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.contenders import RunFigures, run_flumen, run_loop
from bench.machine import describe
from bench.setting import Setting, prepare
from bench.stages import measure_stages
from flumen.cli.output import print_json
from flumen.interceptor import DEFAULT_CHAIN

LOOP, FLUMEN = "hand-written loop", "flumen worker"
WHOLE = "flumen, in full"
"""With statistics and metadata, which the loop does without."""


def main() -> None:
    options = _options()
    console = Console(stderr=options.json)
    with (
        tempfile.TemporaryDirectory(prefix="flumen-bench-") as home,
        prepare(Path(home), options.images) as setting,
    ):
        console.print(describe())
        console.print(f"{options.images:,} images, {options.repeats} runs each\n")
        stages = measure_stages(setting)
        run_loop(setting)  # not counted: it warms the servers, which compile what they run often
        figures: dict[str, list[RunFigures]] = {LOOP: [], FLUMEN: [], WHOLE: []}
        for _ in range(options.repeats):  # in turns, so that a slow spell of the machine hits both
            figures[LOOP].append(run_loop(setting))
            figures[FLUMEN].append(run_flumen(setting))
            figures[WHOLE].append(run_flumen(setting, DEFAULT_CHAIN))
    report(console, setting, stages, figures)
    if options.json:
        print_json({"machine": describe(), "stages": stages, "runs": figures, "ratio": ratio(figures)})


def ratio(figures: dict[str, list[RunFigures]]) -> float:
    """Return how many times faster than the loop flumen is, by the medians of their runs."""
    return _median(figures[FLUMEN]) / _median(figures[LOOP])


def report(
    console: Console, setting: Setting, stages: dict[str, float], figures: dict[str, list[RunFigures]]
) -> None:
    whole = _median(figures[WHOLE])
    table = Table(title="Each stage alone, one thread", title_justify="left")
    for name in ("stage", "images/s", "flumen uses"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage, speed in stages.items():
        table.add_row(stage, f"{speed:,.0f}", f"{whole / speed:.0%}")
    console.print(table)
    table = Table(title="End to end, until acknowledged", title_justify="left")
    for name in (
        "who",
        "images/s",
        "runs",
        "of the loop",
        "CPU ms per 1,000",
        "memory MB, start to end",
        "most",
    ):
        table.add_column(name, justify="left" if name == "who" else "right")
    for who, runs in figures.items():
        median = _median(runs)
        middle = min(runs, key=lambda run: abs(run.images_per_second - median))
        table.add_row(
            who,
            f"{median:,.0f}",
            " ".join(f"{run.images_per_second:,.0f}" for run in runs),
            f"{median / _median(figures[LOOP]):.2f}",
            f"{middle.cpu_s * 1e6 / setting.images:.0f}",
            " ".join(f"{rss / 1e6:.0f}" for rss in middle.memory),
            f"{max(max(run.memory) for run in runs) / 1e6:.0f}",
        )
    console.print(table)


def _median(runs: list[RunFigures]) -> float:
    return statistics.median(run.images_per_second for run in runs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.throughput", description=__doc__)
    parser.add_argument("--images", type=int, default=50_000, help="how many (up to 60,000)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contender")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
