"""`make bench`: how fast, at what CPU, how soon, against a hand-written loop, other frames and each stage's own limit.

One run, the same messages for all, one contender after another on the same machine, in turns. The servers are warm:
150,000 documents went through them before. Nothing else should run meanwhile.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.contenders import FULL, LOOP, MAIN, SAME, Contender, in_processes, other_frames
from bench.figures import Figures, figures
from bench.latency import measure_latency
from bench.machine import describe
from bench.race import race
from bench.report import (
    ratios,
    show_latency,
    show_processes,
    show_rates,
    show_stages,
    show_starts,
    show_threads,
)
from bench.setting import Setting, prepare
from bench.stages import floor_ms, measure_stages
from bench.tables import make_console
from flumen.cli.output import print_json

PARTS = ("digits", "others", "photos", "latency")

_WARM = 150_000
_STAGE_IMAGES = 20_000
_STAGE_PHOTOS = 300


def main() -> None:
    options = _options()
    console = make_console(options.json)
    with (
        tempfile.TemporaryDirectory(prefix="flumen-bench-") as home,
        prepare(Path(home), options.images) as setting,
    ):
        console.print(describe())
        console.print(f"{options.images:,} images; servers warmed by {options.warm:,} documents\n")
        warm(setting, options.warm)
        measured = {part: _timed(console, setting, options, part) for part in options.parts}
    if options.json:
        print_json({"machine": describe(), **measured})


def warm(setting: Setting, documents: int) -> None:
    """Run workers in full until so many documents were stored: servers compile what they run often."""
    for _ in range(-(-documents // setting.images)):
        race(FULL, setting)


def take_turns(contenders: Sequence[Contender], setting: Setting, repeats: int) -> dict[str, list[Figures]]:
    """Run all in turns, so that a slow spell of the machine hits all of them."""
    runs: dict[str, list[Figures]] = {contender.name: [] for contender in contenders}
    for _ in range(repeats):
        for contender in contenders:
            runs[contender.name].append(figures(race(contender, setting)))
    return runs


def _digits(console: Console, setting: Setting, options: argparse.Namespace) -> dict[str, Any]:
    runs = take_turns(MAIN, setting, options.repeats)
    count = min(_STAGE_IMAGES, setting.images)
    stages = {each.name: measure_stages(setting, each.interceptors, count) for each in (SAME, FULL)}
    show_rates(console, "Digits", runs, {name: floor_ms(alone) for name, alone in stages.items()})
    show_starts(console, runs)
    show_processes(console, runs)
    show_threads(console, {each.name: runs[each.name] for each in (SAME, FULL)})
    for name, alone in stages.items():
        show_stages(console, name, alone)
    return {"runs": runs, "ratios": ratios(runs), "stages": stages}


def _others(console: Console, setting: Setting, _options: argparse.Namespace) -> dict[str, Any]:
    contenders = [LOOP, *other_frames(), FULL, *in_processes()]
    runs = take_turns(contenders, setting, 1)
    show_rates(console, "Other frames, and interception in processes of its own", runs, {})
    show_starts(console, runs)
    show_processes(console, runs)
    return {"runs": runs, "ratios": ratios(runs)}


def _photos(console: Console, setting: Setting, options: argparse.Namespace) -> dict[str, Any]:
    photos = setting.photos(options.photos)
    runs = take_turns(MAIN, photos, 1)
    count = min(_STAGE_PHOTOS, photos.images)
    stages = {each.name: measure_stages(photos, each.interceptors, count) for each in (SAME, FULL)}
    floors = {name: floor_ms(alone) for name, alone in stages.items()}
    show_rates(console, "Photos, 800x600 JPEG of 65 KB", runs, floors)
    show_processes(console, runs)
    show_stages(console, f"Photos, {FULL.name}", stages[FULL.name])
    return {"runs": runs, "ratios": ratios(runs), "stages": stages}


def _latency(console: Console, setting: Setting, _options: argparse.Namespace) -> dict[str, Any]:
    latencies = {each.name: measure_latency(each, setting) for each in (LOOP, FULL)}
    show_latency(console, latencies)
    return {"delays": latencies}


def _timed(console: Console, setting: Setting, options: argparse.Namespace, part: str) -> dict[str, Any]:
    started = time.monotonic()
    measured = _MEASURE[part](console, setting, options)
    console.print(f"({part}: {time.monotonic() - started:.0f} s)\n", style="dim")
    return measured


_MEASURE = {"digits": _digits, "others": _others, "photos": _photos, "latency": _latency}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.throughput", description=__doc__)
    parser.add_argument("--images", type=int, default=50_000, help="how many digits (up to 60,000)")
    parser.add_argument("--photos", type=int, default=2_000, help="how many photos")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contender with digits")
    parser.add_argument("--warm", type=int, default=_WARM, help="documents before the first measurement")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
