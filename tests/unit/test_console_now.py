"""Now: one collector for all who look on; curves, quantiles, and a viewer who is slow."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from worker_statuses import worker_status

from flumen.cli.testing import wait_until
from flumen.console import watching
from flumen.console.dead_letters.listed import DeadLetterList
from flumen.console.now import viewers
from flumen.console.now.collector import Collector, Sources
from flumen.console.now.latency import LatencyWindow, added, quantile
from flumen.console.now.moment import event
from flumen.console.now.plot import HEIGHT, WIDTH, draw, round_up
from flumen.console.now.readings import Backlog, FleetReading, Swap
from flumen.console.now.shown import shown
from flumen.console.now.tables import PLOTS, TABLES
from flumen.console.now.viewers import QUEUED, EventStream, Viewer, Viewers
from flumen.console.watching import Fixed, Watched
from flumen.models.slot import NO_REVISION
from flumen.stores.errors import StoreUnavailable
from flumen.streams.control.operator.fleet import FleetView, Seen
from flumen.streams.control.status_headers import StatusHeaders
from flumen.streams.errors import KafkaUnavailable
from flumen.streams.kafka.progress import PartitionProgress

INF = float("inf")
EVIL = "<script>\u202e\ud800"


def test_quantiles_are_prometheus_own() -> None:
    buckets = ((0.1, 10), (0.2, 30), (1.0, 30), (INF, 40))
    assert quantile(buckets, 0.5) == pytest.approx(0.15)
    assert quantile(buckets, 0.25) == pytest.approx(0.1)
    assert quantile(buckets, 0.99) == 1.0  # where the bucket without an end begins
    assert quantile((), 0.5) is None
    assert quantile(((0.1, 0), (INF, 0)), 0.5) is None


def test_histograms_of_workers_are_added_and_those_with_other_bounds_left_out() -> None:
    one, odd = ((0.1, 1), (INF, 2)), ((0.3, 100), (INF, 100))
    assert added([odd, one, one]) == ((0.1, 2), (INF, 4))
    assert added([]) == ()


def test_only_what_was_counted_within_the_window_counts() -> None:
    window = LatencyWindow(window_s=10)
    assert window.hear(0, {"a": ((1.0, 5), (INF, 5))}) == ((1.0, 0), (INF, 0))  # of before, nothing is known
    assert window.hear(5, {"a": ((1.0, 7), (INF, 9))}) == ((1.0, 2), (INF, 4))
    assert window.hear(12, {"a": ((1.0, 7), (INF, 9))}) == ((1.0, 0), (INF, 0))
    assert window.hear(13, {"a": ((1.0, 1), (INF, 1)), "b": ()}) == ((1.0, 1), (INF, 1))  # it began anew


class Known:
    """Sources in memory, and a clock that is set by hand."""

    def __init__(self, stores: dict[str, Any] | None = None) -> None:
        self.now = 1_000.0
        self.fleet: Fixed[FleetReading] = Fixed()
        self.backlog: Fixed[Backlog] = Fixed()
        self.letters: Fixed[DeadLetterList] = Fixed(DeadLetterList())
        sources = Sources(self.fleet, self.backlog, self.letters, stores or {})
        self.collector = Collector(sources, lambda: self.now)

    def hear(
        self, at_s: float, ends: int, done: int, waits: Sequence[tuple[float, int]] = ()
    ) -> dict[str, Any]:
        self.now = 1_000.0 + at_s
        partitions = [PartitionProgress(0, 0, ends, done), PartitionProgress(1, 5, 5, 5)]
        self.backlog.latest = Fixed(Backlog(at_s, partitions)).latest
        status = worker_status(images_per_s=12.5, refused=None)
        live = Seen(status, 0.5, is_silent=False, headers=StatusHeaders("g", 0, 10**9, tuple(waits)))
        silent = Seen(worker_status(worker="w2", images_per_s=99.0), 60.0, is_silent=True)
        swap = Swap(1_001_000_000, None, "mnist", EVIL, EVIL, EVIL, 0)
        self.fleet.latest = Fixed(FleetReading([FleetView("mnist", None, (live, silent))], [swap])).latest
        self.collector.tick()
        return self.collector.moment


def test_the_collector_puts_together_what_the_sources_say() -> None:
    known = Known()
    assert known.collector.moment["sample"]["lag"] is None  # before anything is known
    known.hear(0, 10, 10, [(0.1, 0), (INF, 0)])
    now = known.hear(2, 50, 20, [(0.1, 10), (INF, 10)])
    sample = now["sample"]
    assert (sample["published_per_s"], sample["stored_per_s"], sample["lag"]) == (20.0, 12.5, 30)
    assert sample["p50_s"] == pytest.approx(0.05)
    assert [(row["worker"], row["state"], row["images_per_s"]) for row in now["workers"]] == [
        ("w1", "serving", 12.5),
        ("w2", "silent", 0.0),
    ]
    assert now["workers"][0]["revision"] == NO_REVISION
    assert [row["lag"] for row in now["partitions"]] == [30, 0]
    for table in TABLES:
        assert all({column.name for column in table.columns} <= row.keys() for row in now[table.name]), (
            table.name
        )
    assert {name for plot in PLOTS for name, _ in plot.curves} < sample.keys()

    # Kafka fails: what was known stays, its state says so, and no figure is made up.
    known.backlog.latest = Fixed(known.backlog.latest.said, "no broker answers").latest
    known.collector.tick()
    assert known.collector.moment["stores"][0]["state"] == "down"
    assert known.collector.moment["problems"] == {"partitions": "no broker answers"}
    assert known.collector.moment["sample"]["lag"] is None
    assert len(known.collector.history()["history"]) == 4


def test_a_store_that_is_down_shows_as_down_and_the_rest_works() -> None:
    async def down() -> str:
        raise StoreUnavailable("Solr has not answered")

    async def broken() -> str:
        raise ValueError("a bug")

    async def up() -> str:
        return "3 tables"

    async def states() -> list[tuple[str, str, str]]:
        known = Known({"Solr": down, "Other": broken, "Kudu": up})
        await known.collector.start()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        known.collector.tick()
        await known.collector.stop()
        return [(row["store"], row["state"], row["says"]) for row in known.collector.moment["stores"]]

    assert asyncio.run(states()) == [
        ("Kafka", "asked", ""),
        ("Solr", "down", "Solr has not answered"),
        ("Other", "down", "ValueError: a bug"),
        ("Kudu", "up", "3 tables"),
    ]


async def _silent() -> Any:
    await asyncio.Event().wait()


def test_a_slow_viewer_loses_the_oldest_and_holds_nobody_up() -> None:
    async def look() -> None:
        all_of_them, taken, block = Viewers(), [], asyncio.Event()

        async def fast(message: Any) -> None:
            taken.append(message.get("body", b""))

        async def slow(message: Any) -> None:
            if message.get("body") == b"first":
                await block.wait()

        def stream(send: Any) -> asyncio.Task[None]:
            response = EventStream(all_of_them, lambda: b"first", lambda: True)
            return asyncio.create_task(response({"type": "http"}, _silent, send))

        streams = [stream(fast), stream(slow)]
        while len(all_of_them.all) < 2 or b"first" not in taken:
            await asyncio.sleep(0)
        sent = [f"{number}".encode() for number in range(3 * QUEUED)]
        for each in sent:
            all_of_them.send(each)
            while taken[-1] != each:
                await asyncio.sleep(0)
        assert taken[1:] == [b"first", *sent]
        behind = max(all_of_them.all, key=lambda viewer: viewer.dropped)
        assert behind.dropped == 2 * QUEUED
        assert await behind.next() == sent[-QUEUED]
        all_of_them.end()  # also of the one that takes nothing
        await asyncio.wait_for(asyncio.gather(*streams), 30)
        assert taken[-1] == b"event: end\ndata:\n\n"
        assert not all_of_them.all

    asyncio.run(look())


def test_a_stream_says_that_it_lives_and_ends_with_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "KEEP_ALIVE_S", 0.001)
    may, taken = iter([True, True, False]), []

    async def send(message: Any) -> None:
        taken.append(message)

    asyncio.run(EventStream(Viewers(), lambda: b"first", lambda: next(may))({"type": "http"}, _silent, send))
    assert dict(taken[0]["headers"])[b"content-type"].startswith(b"text/event-stream")
    assert [message["body"] for message in taken[1:]] == [
        b"first",
        b": nothing new\n\n",
        b"event: end\ndata:\n\n",
    ]
    assert not taken[-1]["more_body"]


def test_a_viewer_who_goes_away_is_forgotten() -> None:
    all_of_them = Viewers()

    async def gone() -> Any:
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        await asyncio.sleep(0)

    async def look() -> None:
        with Viewer(all_of_them):
            await EventStream(all_of_them, lambda: b"first", lambda: True)({"type": "http"}, gone, send)
            assert len(all_of_them.all) == 1

    asyncio.run(look())
    assert not all_of_them.all


def test_hostile_words_go_into_an_event_as_one_line_and_into_a_page_as_text() -> None:
    known = Known()
    known.hear(0, 1, 1)
    text = event(known.collector.moment)
    assert text.count(b"\n") == 2
    assert json.loads(text.removeprefix(b"data: "))["swaps"][0]["by"] == "<script>\u202e?"
    assert "<script" not in str(shown(EVIL, "text"))
    assert str(shown(None, "text")) == ""
    assert [
        str(shown(value, kind).striptags())
        for value, kind in [(3_700.0, "age"), (0.0125, "seconds"), (2e9, "bytes")]
    ] == [
        "1 h",
        "12.5 ms",
        "2,000 MB",
    ]


def test_curves_end_at_the_right_edge_and_are_broken_where_nothing_is_known() -> None:
    samples = [
        {"at": at * 1_000_000, "lag": lag}
        for at, lag in [(0, 5), (298, 5), (300, 10), (302, None), (600, 20)]
    ]
    swaps = [
        {"at": 300_000_000, "model": "m", "change": "champion 1 → 2"},
        {"at": -1, "model": "m", "change": ""},
    ]
    (plot,) = [plot for plot in PLOTS if plot.name == "lag"]
    drawn = draw(plot, samples, swaps)
    assert drawn.top == 20
    assert drawn.paths == [
        (
            "not yet stored",
            f"M0.0 {HEIGHT * 0.75}h.1M496.7 {HEIGHT * 0.75}h.1L500.0 {HEIGHT * 0.5}M{WIDTH}.0 0.0h.1",
        )
    ]
    assert drawn.swaps == [(500.0, "m: champion 1 → 2")]
    assert draw(plot, [], []).paths == [("not yet stored", "")]
    assert [round_up(value) for value in (0, 0.003, 1, 1.1, 4, 7, 10, 1234)] == [
        1,
        0.005,
        1,
        2,
        5,
        10,
        10,
        2000,
    ]


def test_a_source_that_fails_is_closed_and_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_AGAIN_S", 0.001)
    opened: list[str] = []

    @contextmanager
    def source() -> Iterator[Any]:
        opened.append("open")
        if len(opened) == 1:
            raise KafkaUnavailable("no broker answers")
        if len(opened) == 3:
            raise ValueError("a bug")
        said = iter([len(opened)])

        def ask() -> int:
            try:
                return next(said)
            except StopIteration:
                raise KafkaUnavailable("gone again") from None

        yield ask

    watched: Watched[int] = Watched("test", source)
    watched.start()
    wait_until(lambda: len(opened) > 4, "it to be opened anew")
    watched.stop()
    assert (watched.latest.said or 0) >= 4
    assert watched.latest.problem == "gone again"
