"""Swaps under full load: how soon the last worker classifies by the new model, and what preparing one costs meanwhile.

Workers read a backlog as fast as they can. The clock of a swap runs from when the new champion is written, once
every worker is ready, until the last worker takes its first batch on it, by the times in the audit log. Throughput is
counted by acknowledged images, in turns while nothing is prepared, and while versions are, one after another without
a pause: small ones, as the digits' is, and ones as large as those for photos. The backlog is as long as all that takes,
by the speed that the same workers have before. Nothing else should run meanwhile.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from itertools import cycle
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.machine import describe
from bench.setting import MOST_DIGITS, prepare, publish_more
from bench.swap_fleet import Pair, fresh, measure_speed, register_pairs, run_workers
from flumen.cli.output import print_json
from flumen.models.repository import Repository
from flumen.streams.control.operator.audit_log import read_audit_log
from flumen.streams.control.operator.fleet import Fleet, FleetView
from flumen.streams.control.operator.rollout import Order, Rollout
from flumen.streams.control.operator.writer import DesiredChange, StateWriter, make_signer
from flumen.streams.control.records import Command, ModelRef
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.settings import Settings

_TIMEOUT_S = 120.0

_WARM = 150_000
"""Images by which the speed is measured; their documents warm the servers, too."""
_LARGE_S = 30.0
"""What preparing a large version may take."""
_SWAP_S = 1.5
"""Likewise what a swap takes, with all that is looked at behind it."""
_MARGIN = 1.25
"""The backlog lasts for so many times the seconds that are planned."""


@dataclass(slots=True)
class Preparing:
    """Windows in which versions of one size were prepared, one after another without a pause."""

    megabytes: float
    rates: list[float] = field(default_factory=list)
    """Images/s, one window after another."""
    seconds: list[float] = field(default_factory=list)
    """From the record that asks for a version until every worker is ready, one version after another."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured. Throughput in images/s, one window after another; latency in milliseconds, a swap each."""

    without: list[float]
    preparing: list[Preparing]
    latency_ms: list[float]
    batch_ms: float

    def ratio(self, preparing: Preparing) -> float:
        """Throughput while versions are prepared, of that without: the means over their windows."""
        return statistics.mean(preparing.rates) / statistics.mean(self.without)


def main() -> None:
    options = _options()
    console = Console(stderr=options.json)
    with (
        tempfile.TemporaryDirectory(prefix="flumen-bench-") as home,
        prepare(Path(home), MOST_DIGITS) as setting,
    ):
        console.print(describe())
        logs = Path(home) / "logs"
        publish_more(setting.settings, MOST_DIGITS, _WARM)
        speed = measure_speed(setting, options.workers, logs)
        backlog = max(_WARM, round(_MARGIN * speed * _planned_s(options)))
        console.print(f"{speed:,.0f} images/s before: a backlog of {backlog:,}")
        publish_more(setting.settings, _WARM, backlog)
        settings = fresh(setting)
        pairs = register_pairs(settings)
        with run_workers(settings, options.workers, logs), Fleet(settings) as fleet:
            figures = _Measurement(settings, fleet, options).run(pairs)
    report(console, figures, options.workers)
    if options.json:
        ratios = [figures.ratio(preparing) for preparing in figures.preparing]
        print_json({"machine": describe(), "workers": options.workers, **asdict(figures), "ratios": ratios})


def _planned_s(options: argparse.Namespace) -> float:
    """Return how many seconds all windows and swaps take."""
    small_s = 2 * options.window_s
    rounds_s = options.rounds * (small_s + max(options.window_s, _LARGE_S))
    return float(small_s + rounds_s + options.swaps * _SWAP_S)


class _Measurement:
    """Drives the fleet and looks at it from outside."""

    def __init__(self, settings: Settings, fleet: Fleet, options: argparse.Namespace) -> None:
        repository = Repository(settings.model_repository)
        self._settings = settings
        self._fleet = fleet
        self._options = options
        self._observer = TopicReader(settings)
        self._writer = StateWriter(settings, settings.model_name, make_signer(settings))
        first = repository.manifest(settings.model_name, 1)
        self._first = ModelRef(first.version, first.sha256)

    def run(self, pairs: Sequence[Pair]) -> Figures:
        self._until(lambda: self._acknowledged() > 0, "the first image")
        without: list[float] = []
        preparing = [Preparing(pair.megabytes) for pair in pairs]
        kinds: list[tuple[Callable[[], None], list[float]]] = [(self._look, without)]
        for pair, one in zip(pairs, preparing, strict=True):
            kinds.append((partial(self._prepare_next, cycle(pair.refs), one.seconds), one.rates))
        for meanwhile, _ in kinds[:2]:
            self._count(meanwhile)  # and forget it: the workers' first seconds are slower
        preparing[0].seconds.clear()
        for number in range(self._options.rounds):
            # To and fro: what grows faster or slower meanwhile evens out.
            for meanwhile, rates in kinds if number % 2 else reversed(kinds):
                rates.append(self._count(meanwhile))
        second = pairs[0].refs[0]
        latency_ms = [
            self._swap(self._first if number % 2 else second) for number in range(self._options.swaps)
        ]
        self._refuse_empty()
        batch_s = self._settings.max_batch_size * self._options.workers / statistics.mean(without)
        return Figures(without, preparing, latency_ms, batch_s * 1000)

    def _swap(self, ref: ModelRef) -> float:
        """Swap, and return the milliseconds until the last worker's first batch on the new version."""
        order = Order(
            command=Command.ACTIVATE,
            model=self._settings.model_name,
            actor="bench",
            reason="",
            timeout_s=_TIMEOUT_S,
        )
        rollout = Rollout(self._fleet, self._writer, order, lambda *_: None)
        state = rollout.activate(self._view(), ref, self._first).state
        assert state is not None

        def effects() -> list[float]:
            return [
                _seconds(one.at) for one in read_audit_log(self._settings, state.model).changes[-1].effects
            ]

        self._until(lambda: len(effects()) == self._options.workers, "every worker's first batch")
        return (max(effects()) - _seconds(state.at)) * 1000

    def _prepare_next(self, refs: Iterator[ModelRef], seconds: list[float]) -> None:
        """Let every worker prepare another version than the one before, which is given up by that."""
        started = time.monotonic()
        change = DesiredChange(
            command=Command.ACTIVATE,
            model=self._settings.model_name,
            champion=self._first,
            challenger=None,
            prepare=next(refs),
            actor="bench",
            reason="",
        )
        state = self._writer.write(change, self._view().desired)
        self._until(
            lambda: all(
                (one.prepared, one.revision) == (state.prepare, state.revision) for one in self._view().live
            ),
            "every worker to be ready",
        )
        seconds.append(time.monotonic() - started)

    def _count(self, meanwhile: Callable[[], None]) -> float:
        """Return images a second over a window, in which something is done again and again."""
        started, before = time.monotonic(), self._acknowledged()
        while time.monotonic() - started < self._options.window_s:
            meanwhile()
        return (self._acknowledged() - before) / (time.monotonic() - started)

    def _until(self, probe: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        while not probe():
            if time.monotonic() > deadline:
                self._refuse_empty()
                raise SystemExit(f"waited {_TIMEOUT_S:.0f} s for {what}")
            self._look()

    def _refuse_empty(self) -> None:
        if self._observer.progress(self._settings.images_topic).published == self._acknowledged():
            raise SystemExit(
                "the backlog was over before the measurement: the workers were slower when their speed was measured. "
                "Let nothing else run meanwhile"
            )

    def _look(self) -> None:
        self._fleet.listen(0.05)

    def _view(self) -> FleetView:
        return self._fleet.view(self._settings.model_name)

    def _acknowledged(self) -> int:
        return self._observer.progress(self._settings.images_topic).acknowledged


def report(console: Console, figures: Figures, workers: int) -> None:
    table = Table(title=f"Swaps under full load, {workers} workers", title_justify="left")
    for name in ("what", "figure", "runs"):
        table.add_column(name, justify="right" if name == "figure" else "left")
    latency = figures.latency_ms
    rows = [
        (
            "written to last worker's first batch, median ms",
            f"{statistics.median(latency):,.0f}",
            _listed(latency),
        ),
        ("the same, worst ms", f"{max(latency):,.0f}", ""),
        ("a batch in hand takes, ms", f"{figures.batch_ms:,.0f}", ""),
        (
            "images/s, nothing is prepared",
            f"{statistics.mean(figures.without):,.0f}",
            _listed(figures.without),
        ),
    ]
    for one in figures.preparing:
        size, seconds = f"{one.megabytes:.1f} MB", statistics.median(one.seconds)
        rows += [
            (f"images/s, preparing {size} on end", f"{statistics.mean(one.rates):,.0f}", _listed(one.rates)),
            ("the same, of that without", f"{figures.ratio(one):.2f}", ""),
            (f"until every worker is ready, {size}, s", f"{seconds:.2f}", f"{len(one.seconds)} preparations"),
        ]
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _listed(figures: list[float]) -> str:
    return " ".join(f"{figure:,.0f}" for figure in figures)


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.swap", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="how many")
    parser.add_argument("--rounds", type=int, default=3, help="windows of throughput, of each kind")
    parser.add_argument("--window-s", type=float, default=8, help="seconds a window, at least")
    parser.add_argument("--swaps", type=int, default=20, help="how many")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
