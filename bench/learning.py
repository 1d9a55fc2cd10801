"""`python -m bench.learning`: data sets, an epoch of training, a grid of experiments, each beside what it is held to.

Images out of Kudu against a bare scan of it; an epoch of the article's network against scikit-learn's on the same
arrays; the article's grid of 140 settings, by extrapolation from a slice. It starts a Kudu of its own.
"""

import argparse
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench import datasets, training
from bench.grid import Extrapolated, extrapolate
from bench.machine import describe
from bench.tables import make_console, show_table

_GIB = 2**30
_LEAST_RATIO, _LEAST_RATE, _MOST_MEMORY, _MOST_OF_SCIKIT = 0.8, 50_000, _GIB, 0.65

Row = tuple[str, str, str]


def main() -> None:
    options, started = _options(), time.monotonic()
    console = make_console()
    console.print(describe("scikit-learn", "pyarrow", "duckdb"))
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="flumen-bench-") as home,
        datasets.own_kudu(Path(home), options.kudu) as masters,
    ):
        if "kudu" in options.parts:
            rows += _kudu(datasets.measure(console, options, Path(home), masters))
        if "epoch" in options.parts:
            rows += _epoch(training.ratios())
        if "grid" in options.parts:
            found = extrapolate(masters)
            _say_how(console, found)
            rows += _grid(found)
    show_table(console, "Learning", "", ("what", "figure", "held to"), rows)
    console.print(f"({time.monotonic() - started:.0f} s)", style="dim")


def _kudu(found: datasets.Found) -> list[Row]:
    return [
        (
            "images out of Kudu, of its own bare scan",
            f"{found.ratio:.2f}",
            f"{_LEAST_RATIO} or more",
        ),
        ("images a second", f"{found.images_per_second:,.0f}", f"more than {_LEAST_RATE:,}"),
        (
            f"memory of an epoch over {found.images:,} rows, at most",
            f"{found.most / _GIB:.2f} GiB",
            f"below {_MOST_MEMORY / _GIB:.0f} GiB",
        ),
        ("  of it, more in its second half", f"{found.grown / 2**20:.0f} MiB", "flat"),
    ]


def _epoch(found: list[tuple[int, float, float]]) -> list[Row]:
    return [
        (
            f"an epoch, of scikit-learn's, batches of {size}",
            f"{ours / theirs:.2f} ({ours:.2f} and {theirs:.2f} ms a batch)",
            f"{_MOST_OF_SCIKIT} at most",
        )
        for size, ours, theirs in found
    ]


def _grid(found: Extrapolated) -> list[Row]:
    return [
        (
            f"{found.settings} settings, {found.epochs} epochs, {found.cost.processes} processes, extrapolated",
            f"{found.whole:.0f} min",
            "about 40 min",
        ),
        ("  the same with --halving, extrapolated", f"{found.by_halving:.0f} min", "about 10 min"),
    ]


def _say_how(console: Console, found: Extrapolated) -> None:
    rungs = ", ".join(f"{settings} x {epochs}" for settings, epochs in found.rungs)
    console.print(
        f"grid: {found.measured} epochs were measured, in {found.measured_s:.0f} s, one process a core: "
        f"{found.cost.epoch:.2f} s an epoch, {found.cost.each:.2f} s a run beside its epochs, {found.cost.start:.1f} s "
        f"to begin. --halving computes {rungs} epochs."
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.learning", description=__doc__)
    datasets.add_options(parser)
    parser.set_defaults(rows=500_000)
    parts = ("kudu", "epoch", "grid")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts, help="what to measure")
    return parser.parse_args()


if __name__ == "__main__":
    main()
