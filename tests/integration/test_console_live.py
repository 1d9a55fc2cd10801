"""The console's pages of what moves, in a browser over a real stack: now, and the dead letters, whatever they say."""

import json
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chromium
import pytest
import requests
from confluent_kafka import Producer
from console_process import ConsoleProcess, running_console
from encoded_images import encoded
from PIL import Image
from typer.testing import CliRunner

from flumen.cli import main
from flumen.cli.background import environment_of
from flumen.cli.testing import wait_until
from flumen.console.access import TokenFile
from flumen.models.datasets.idx import read_idx
from flumen.streams.dead_letters.dead_letter import DeadLetterFilters
from flumen.streams.dead_letters.queue import DeadLetterQueue
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Page

DATA = Path(__file__).parents[2] / "data" / "mnist"
DIGITS = 20
EVIL = "<script>alert(1)</script>\u202e\"'>&\x00"
PATIENCE_MS = 60_000
VIEWER = "viewer.of.it"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
HOSTILE = b"<html><script>alert(2)</script>" + bytes(range(256))
HEADERS: list[tuple[str, str | bytes | None]] = [
    ("<img src=x onerror=alert(3)>", b"\xff\xfe"),
    ("null", None),
    ("__connect.errors.topic", EVIL.encode()),
    ("__connect.errors.partition", "0"),
    ("__connect.errors.offset", "0"),
    ("__connect.errors.stage", EVIL.encode()),
    ("__connect.errors.exception.class.name", f"a.{EVIL}".encode()),
    ("__connect.errors.exception.message", (EVIL + "r" * 10_000).encode()),
    ("flumen.model", f"\u2066{EVIL}".encode()),
]
ARRIVED = """() => {
    const text = (name) => document.querySelector(`table[data-rows=${name}]`).innerText;
    const curves = [...document.querySelectorAll("[data-plot=rates] .axes .curve")];
    return text("workers").includes("mnist@1") && text("workers").includes("MB")
        && text("swaps").includes("champion 2 → 1") && text("partitions").length > 40
        && text("dead_letters").includes("decode") && text("dead_letters").includes("<script>")
        && document.querySelector("[data-plot=delay] .axes .curve").getAttribute("d")
        && document.querySelector("[data-plot=rates] .swap")
        && curves.every((curve) => curve.getAttribute("d").includes("L"));
}"""
MOVING = "document.querySelector('#moving').textContent.startsWith('Moving')"
SIGN_OUT = """() => fetch("/sign-out", {
    method: "POST", redirect: "manual", body: new URLSearchParams(new FormData(document.querySelector("form.who"))),
})"""


@pytest.fixture
def flumen_models_root(flumen_models_root: Path, tmp_path: Path) -> Path:
    """A repository of the test's own: a swap sets its alias."""
    return shutil.copytree(flumen_models_root, tmp_path / "models")


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings, for commands in this process as well."""
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    return settings


def publish(settings: Settings) -> None:
    """Publish digits, and two messages that are no images."""
    producer = Producer(settings.producer_config())
    for at, pixels in enumerate(read_idx(DATA / "t10k-images-idx3-ubyte.gz")[:DIGITS]):
        producer.produce(
            settings.images_topic, key=f"digit-{at}".encode(), value=encoded(Image.fromarray(pixels))
        )
    for key in ("first", "second"):
        producer.produce(
            settings.images_topic, key=key.encode(), value=b"no \x00 image", headers=[("own", b"\xff")]
        )
    assert producer.flush(60) == 0


def publish_hostile(settings: Settings) -> None:
    """Write a dead letter as whoever may write there can: the first one of partition 0, or behind those there are."""
    producer = Producer(settings.producer_config())
    producer.produce(settings.dead_topic, HOSTILE, EVIL.encode(), partition=0, headers=HEADERS)
    assert producer.flush(60) == 0


def go(page: "Page", path: str) -> None:
    """Open another page of the console."""
    page.goto(re.sub(r"^(http://[^/]+).*", r"\1", page.url) + path)


def rows(page: "Page", name: str) -> list[str]:
    """The texts of the rows of a table of now."""
    found: list[str] = page.locator(f"table[data-rows={name}] tbody tr").all_inner_texts()
    return found


def test_a_person_sees_images_arrive_and_sends_dead_letters_back(
    environment: Settings, start_worker: Callable[..., Any], tmp_path: Path, open_page: Callable[..., "Page"]
) -> None:
    settings = environment
    worker = start_worker()
    with running_console(settings, tmp_path) as console:
        worker.wait_for_line("worker is ready")
        see_what_arrives(settings, worker, console, open_page)


def see_what_arrives(
    settings: Settings, worker: Any, console: ConsoleProcess, open_page: Callable[..., "Page"]
) -> None:
    """Look on while images, dead letters and a swap come; settle the dead letters; sign out."""
    page = console.opened(open_page, "operator", "/now")
    publish(settings)
    done = CliRunner().invoke(main.app, ["models", "activate", "mnist@1", "--yes", "--reason", EVIL[:-1]])
    assert done.exit_code == 0, done.output
    publish_hostile(settings)

    # It arrives by itself, in every table and curve.
    page.wait_for_function(ARRIVED, timeout=PATIENCE_MS)
    assert "Moving" in page.inner_text("#moving")
    states = [row.split()[:2] for row in rows(page, "stores")]
    assert states == [["Kafka", "up"], ["Kudu", "up"], ["Solr", "up"]]
    assert page.locator("#problems").is_hidden()
    page.locator("figure.rate summary").first.click()
    assert page.locator("[data-plot=rates] table[data-figures] tbody tr").count() > 0
    look_at_every_width(console, open_page)
    settle_dead_letters(page, worker.check)
    with DeadLetterQueue(settings) as queue:
        found = [entry.resolution for entry in queue.find(DeadLetterFilters(settled=True))]
    assert sorted(str(each.state) for each in found) == ["parked"] * 3 + ["replayed"] * 2
    assert {each.actor for each in found} == {"operator.of.it"}

    # The stream ends with the session.
    go(page, "/now")
    page.wait_for_function(MOVING, timeout=PATIENCE_MS)
    page.evaluate(SIGN_OUT)
    page.get_by_text("Not moving any more").wait_for(timeout=PATIENCE_MS)


def look_at_every_width(console: ConsoleProcess, open_page: Callable[..., "Page"]) -> None:
    """Nothing runs, nothing overflows, nothing that axe-core finds fault with; without scripts it is all there."""
    for width, colours, scripts in [(360, "dark", True), (1400, "light", True), (800, "light", False)]:
        look = {"width": width, "colours": colours, "scripts": scripts}
        other = console.opened(open_page, "viewer", "/now", **look)
        for path in ("/now", "/dead-letters", "/dead-letter?place=0/0"):
            go(other, path)
            if scripts:
                assert other.evaluate(OVERFLOW) <= 0, (width, path)
                assert chromium.findings(other) == [], (width, path)
        go(other, "/")
        assert "mnist@1" in other.inner_text("table[data-rows=workers]")


def settle_dead_letters(page: "Page", check: Callable[[], None]) -> None:
    """Two go back and die once more; the hostile one has nowhere to go; all are set aside then."""
    go(page, "/dead-letters")
    page.get_by_role("row", name=re.compile("^decode")).get_by_role("link").click()
    assert page.get_by_text("2 dead letters, 1 to 2 shown").is_visible()
    for choice in page.get_by_label(re.compile("^Choose")).all():
        choice.check()
    page.get_by_role("button", name="Replay the chosen").click()
    assert "2 of 2 replayed" in page.inner_text("[role=status]")
    go(page, "/dead-letters?state=replayed")
    assert page.locator("form.letters tbody tr").count() == 2
    wait_until(lambda: listed(page) == 3, "those that were replayed to die again", check)
    page.get_by_role("row").filter(has_text="rrr").last.get_by_role("link").click()
    assert "3c 68 74 6d 6c 3e 3c 73" in page.inner_text(".dump")
    assert "<img src=x onerror=alert(3)>" in page.inner_text("main")
    page.get_by_role("button", name="Replay it").click()
    assert "0 of 1 replayed" in page.inner_text("[role=status]")
    go(page, "/dead-letters")
    page.get_by_text("All 3 of this view").click()
    page.get_by_role("button", name="Park all 3").click()
    assert "3 of 3 parked" in page.inner_text("[role=status]")
    assert listed(page) == 0
    assert page.get_by_text("whatever came was classified and stored").is_visible()


def listed(page: "Page") -> int:
    """How many dead letters are dead, by the page."""
    go(page, "/dead-letters")
    return page.locator("form.letters tbody tr").count()


def events(answer: requests.Response) -> Iterator[dict[str, Any]]:
    """The events of a stream."""
    for line in answer.iter_lines():
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


def test_what_is_down_is_said_to_be_and_one_who_reads_nothing_holds_nobody_up(
    environment: Settings, port: int, tmp_path: Path
) -> None:
    with running_console(environment, tmp_path, solr_url=f"http://127.0.0.1:{port}/solr") as console:
        see_what_is_down(environment, console, TokenFile(tmp_path / "tokens.json"))


def see_what_is_down(settings: Settings, console: ConsoleProcess, tokens: TokenFile) -> None:
    """Look on without Solr and without topics, beside somebody who never reads; ask what is refused."""
    base, made = console.address, console.tokens
    headers = {role: {"Authorization": f"Bearer {token}"} for role, token in made.items()}

    host, _, number = base.removeprefix("http://").partition(":")
    with (
        socket.create_connection((host, int(number))) as slow,
        requests.get(
            f"{base}/api/v1/now/events", headers=headers["viewer"], stream=True, timeout=60
        ) as answer,
    ):
        asked = f"GET /api/v1/now/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {made['viewer']}\r\n\r\n"
        slow.sendall(asked.encode())
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        seen = events(answer)
        first = next(seen)
        assert len(first["history"]) >= 1
        until = time.monotonic() + 60
        for now in seen:
            states = {store["store"]: store["state"] for store in now["stores"]}
            if states == {"Kafka": "down", "Kudu": "up", "Solr": "down"}:
                break
            assert time.monotonic() < until, states
        assert "there is no topic" in now["problems"]["partitions"]
        assert "history" not in now

        # A viewer looks and settles nothing; what is wrong is said.
        def ask(path: str, role: str, **sent: Any) -> requests.Response:
            return requests.post(f"{base}{path}", headers=headers[role], timeout=60, **sent)

        assert ask("/api/v1/dead-letters/replay", "viewer", json={"places": ["0/0"]}).status_code == 403
        assert ask("/dead-letters", "viewer", data={"action": "park", "place": "0/0"}).status_code == 403
        for sent in ({}, {"places": []}, {"places": "0/0"}, {"places": ["0/0"], "max_attempts": True}):
            assert ask("/api/v1/dead-letters/replay", "operator", json=sent).status_code == 400, sent
        assert ask("/dead-letters", "operator", data={"action": "burn", "place": "0/0"}).status_code == 400
        for path in (
            "/dead-letters?state=no",
            "/dead-letters?start=-1",
            "/dead-letter",
            "/api/v1/dead-letter",
        ):
            assert requests.get(base + path, headers=headers["viewer"], timeout=60).status_code == 400, path
        ensure_topics(settings)
        publish_hostile(settings)
        whole = {"headers": headers["viewer"], "params": {"place": "0/0"}, "timeout": 60}
        content = requests.get(f"{base}/dead-letter/bytes", **whole)
        assert content.content == HOSTILE, content.text
        assert content.headers["content-type"] == "application/octet-stream"
        assert content.headers["content-disposition"].startswith("attachment")
        found = requests.get(f"{base}/api/v1/dead-letter", **whole).json()
        assert found["headers"][0] == {"name": "<img src=x onerror=alert(3)>", "text": None, "hex": "ff fe"}
        gone = ask("/api/v1/dead-letters/park", "operator", json={"places": ["0/7", "<script>"]}).json()
        assert gone["done"] == 0
        assert len(gone["outcomes"]) == 2
        described = requests.get(f"{base}/api/v1/openapi.json", timeout=60).json()["paths"]
        assert (
            set(
                described["/api/v1/now"]["get"]["responses"]["200"]["content"]["application/json"]["schema"][
                    "required"
                ]
            )
            == first.keys()
        )
        assert {"/api/v1/now/events", "/api/v1/dead-letters", "/api/v1/dead-letters/park"} <= described.keys()
        # Whose token is taken away looks on no longer.
        assert tokens.remove(VIEWER)
        assert list(answer.iter_lines())[-3:-1] == [b"event: end", b"data:"]
