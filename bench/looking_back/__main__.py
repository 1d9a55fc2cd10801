"""`python -m bench.looking_back`: what looks back at stored images, each beside what it is held to, as ratios.

Digits go through the whole chain of interceptors into tables and an index of their own, which are dropped at the end.
It starts servers of its own, unless `--stack` names the home of some that `flumen up` has started.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console

from bench.looking_back import engines, live, memory, rates
from bench.looking_back.figures import (
    Figure,
    as_json,
    like_figures,
    live_figures,
    memory_figures,
    rate_figures,
    table_rows,
)
from bench.looking_back.stored import servers, stored
from bench.machine import describe
from bench.setting import Setting
from bench.tables import make_console, show_table
from flumen.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flumen.streams.settings import Settings

PARTS = ("reclassify", "audit", "drift", "live", "memory", "like", "spark")
DEFAULT_PARTS = tuple(part for part in PARTS if part != "spark")
"""Spark waits for `flumen reclassify --engine`."""

SAYS = {
    "reclassify": "a job as the command does it, by a hand-written loop: Kudu scan, ONNX, Kudu upsert",
    "audit": "rows compared with documents, by scans of Kudu and of Solr one after the other, of the same columns",
    "drift": "rows counted in windows of a day, by a scan of the same columns of the same rows",
    "live": f"images a worker takes in beside jobs at --share {live.SHARE}, by those that it takes in without",
    "memory": "most memory of each command over all rows, by that over a tenth of them",
    "like": "milliseconds of one question of `search --like`, over all documents",
    "spark": "the command by --engine spark, by that in one process, their start with them",
}


def main() -> None:
    options, started = _options(), time.monotonic()
    console = make_console(stderr=options.json)
    console.print(describe("pyarrow", "duckdb"))
    found: list[Figure] = []
    with servers(options.stack) as setting:
        small = [part for part in options.parts if part != "memory"]
        if small:
            with _stored(console, setting, options.rows) as settings:
                for part in small:
                    found += _measured(console, part, partial(_PARTS[part], settings, options))
        if "memory" in options.parts:
            found += _measured(console, "memory", partial(_memory, console, setting, options))
    show_table(
        console,
        "Looking back",
        f"{options.rows:,} images, {options.repeats} turns",
        ("what", "figure", "turns", "held to"),
        table_rows(found),
    )
    console.print(f"({time.monotonic() - started:.0f} s)", style="dim")
    if options.json:
        print_json({"machine": describe("pyarrow", "duckdb"), "rows": options.rows, **as_json(found)})


def _measured(console: Console, part: str, measure: "Callable[[], list[Figure]]") -> list[Figure]:
    console.print(f"[bold]{part}[/]: {SAYS[part]}")
    started = time.monotonic()
    found = measure()
    console.print(f"  ({time.monotonic() - started:.0f} s)", style="dim")
    return found


@contextmanager
def _stored(console: Console, setting: Setting, rows: int) -> "Iterator[Settings]":
    started = time.monotonic()
    with stored(setting, rows) as settings:
        console.print(f"{rows:,} images were stored in {time.monotonic() - started:.0f} s", style="dim")
        yield settings


def _reclassify(settings: "Settings", options: argparse.Namespace) -> list[Figure]:
    turns = rates.reclassify_turns(settings, options.rows, options.repeats)
    return rate_figures(
        turns,
        rates.RECLASSIFY,
        {("of its raw limit", (rates.BY_HAND,)): 0.6, ("of a bare scan", (rates.SCAN,)): None},
    )


def _audit(settings: "Settings", options: argparse.Namespace) -> list[Figure]:
    turns = rates.audit_turns(settings, options.rows, options.repeats)
    return rate_figures(
        turns,
        rates.AUDIT,
        {("of bare scans of both stores", (rates.KUDU, rates.SOLR)): 0.5},
    )


def _drift(settings: "Settings", options: argparse.Namespace) -> list[Figure]:
    turns = rates.drift_turns(settings, options.rows, options.repeats)
    return rate_figures(turns, rates.DRIFT, {("of a bare scan", (rates.DRIFT_SCAN,)): 0.5})


def _live(settings: "Settings", options: argparse.Namespace) -> list[Figure]:
    with TemporaryDirectory(prefix="flumen-bench-") as logs:
        return live_figures(
            live.live_found(settings, options.backlog, options.repeats, options.window_s, Path(logs))
        )


def _like(settings: "Settings", options: argparse.Namespace) -> list[Figure]:
    return like_figures(rates.alike_ms(settings, options.rows, options.questions), options.rows)


def _spark(settings: "Settings", options: argparse.Namespace) -> list[Figure]:
    if not engines.has_spark():
        return [Figure("reclassify --engine spark", None, "the command has no such option yet")]
    turns = engines.engine_turns(settings, options.rows, options.repeats)
    return rate_figures(turns, engines.SPARK, {("of one process", (engines.PROCESS,)): None})


def _memory(console: Console, setting: Setting, options: argparse.Namespace) -> list[Figure]:
    found = {}
    for rows in (options.most_rows // 10, options.most_rows):
        with _stored(console, setting, rows) as settings:
            found[rows] = memory.peaks(settings, rows)
    return memory_figures(found)


_PARTS: "Mapping[str, Callable[[Settings, argparse.Namespace], list[Figure]]]" = {
    "reclassify": _reclassify,
    "audit": _audit,
    "drift": _drift,
    "live": _live,
    "like": _like,
    "spark": _spark,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.looking_back", description=__doc__)
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=DEFAULT_PARTS, help="what to measure")
    add("--rows", type=int, default=100_000, help="images that are stored")
    add(
        "--repeats",
        type=int,
        default=3,
        help="turns of each, beside one to warm up; windows of the live part",
    )
    add("--most-rows", type=int, default=1_000_000, help="images that are stored for the part memory")
    add("--backlog", type=int, default=600_000, help="images that lie in the topic for the part live")
    add("--window-s", type=float, default=8, help="seconds of a window of the part live")
    add("--questions", type=int, default=30, help="of the part like")
    add("--stack", type=Path, metavar="HOME", help="servers that run, in place of own ones")
    add("--json", action="store_true", help="print the figures as JSON too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
