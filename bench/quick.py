"""`make bench-quick`: the ratios that must not fall, in under three minutes: before each commit to the hot path.

Fewer images, one warm-up, one run of each. Compare with the same command before the change, on the same machine: the
ratios alone, and by more than one run where they are close.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.contenders import FULL, LOOP, SAME
from bench.interceptors import measure, show_costs
from bench.machine import describe
from bench.report import Runs, ratios, show_processes, show_rates, show_stages
from bench.setting import prepare
from bench.stages import Stage, floor_ms, measure_stages
from bench.tables import make_console
from bench.throughput import take_turns, warm
from flumen.cli.output import print_json

_STAGE_IMAGES = 10_000


def main() -> None:
    options, started = _options(), time.monotonic()
    console = make_console(options.json)
    console.print(describe())
    costs = measure()
    show_costs(console, costs)
    with (
        tempfile.TemporaryDirectory(prefix="flumen-bench-") as home,
        prepare(Path(home), options.images) as setting,
    ):
        warm(setting, options.images)
        runs = take_turns((LOOP, SAME, FULL), setting, 1)
        stages = measure_stages(setting, FULL.interceptors, min(_STAGE_IMAGES, options.images))
    show_stages(console, FULL.name, stages)
    show_rates(console, "Digits", runs, {FULL.name: floor_ms(stages)})
    show_processes(console, runs)
    must_not_fall = kept(runs, stages)
    for name, ratio in must_not_fall.items():
        console.print(f"{name}: [bold]{ratio:.2f}[/]")
    console.print(f"({time.monotonic() - started:.0f} s)", style="dim")
    if options.json:
        print_json(
            {
                "machine": describe(),
                "interceptor_us": costs,
                "stages": stages,
                "runs": runs,
                "ratios": must_not_fall,
            }
        )


def kept(runs: Runs, stages: Sequence[Stage]) -> dict[str, float]:
    """Return the ratios that must not fall; one of a steady half is left out where the run was too short for one."""
    found = {
        f"{who}, of the loop, whole run": ratio for who, ratio in ratios(runs).items() if who != LOOP.name
    }
    steady = {who: one.steady for who, (one,) in runs.items()}
    base, full = steady[LOOP.name], steady[FULL.name]
    if base is not None:
        for who, span in steady.items():
            if span is not None and who != LOOP.name:
                found[f"{who}, of the loop, steady half"] = span.images_per_second / base.images_per_second
                found[f"{who}, images a second of CPU, of the loop"] = base.cpu_ms_in_all / span.cpu_ms_in_all
    if full is not None:
        found[f"{FULL.name}, floor of all its CPU"] = floor_ms(stages) / full.cpu_ms_in_all
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.quick", description=__doc__)
    parser.add_argument("--images", type=int, default=20_000, help="how many digits (up to 60,000)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
