"""`flumen dead` on a real broker, with dead letters that a real worker wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from produce_topics import create_topic
from typer.testing import CliRunner, Result

from flumen.cli.dead import app
from flumen.stores.kudu import KuduReader
from flumen.streams.errors import NoSuchDeadLetter, NotSaved
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.settings import Settings

Run = Callable[..., Result]
Wait = Callable[..., None]
HOSTILE = [("ce_id", b"x"), ("own", None), ("own", b"\xff\x1b[31m"), ("[red]", b"[bold]not markup")]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `flumen dead` with these arguments and the test's settings."""
    given = settings.model_dump(include=settings.model_fields_set, mode="json")
    for name, value in given.items():
        monkeypatch.setenv(f"FLUMEN_{name.upper()}", str(value))
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def listed(run: Run, *arguments: str) -> list[dict[str, Any]]:
    result = run("list", *arguments, "--json")
    assert result.exit_code == 0, result.output
    dead_letters: list[dict[str, Any]] = json.loads(result.stdout)
    return dead_letters


def publish(settings: Settings, *messages: tuple[Any, Any, Any]) -> None:
    producer = Producer(settings.producer_config())
    for key, value, headers in messages:
        producer.produce(settings.images_topic, key=key, value=value, headers=headers, partition=0)
    assert producer.flush(60) == 0


@pytest.fixture
def two_dead_letters(
    settings: Settings, start_worker: Callable[..., Any], wait_until_acknowledged: Wait
) -> Any:
    """A running worker that has just refused two messages: `first`, hostile, at decode; `second` at envelope."""
    ensure_topics(settings)
    worker = start_worker()
    broken = [("ce_specversion", b"1.0"), ("ce_knownlabel", b"seven")]
    publish(settings, (b"first", b"no \x00 image", HOSTILE), (b"second", b"nor this", broken))
    wait_until_acknowledged(2, worker)
    return worker


@pytest.mark.usefixtures("two_dead_letters")
def test_list_filters_and_show_also_what_is_not_there_or_there_twice(
    run: Run, settings: Settings, observer: Any, tmp_path: Path
) -> None:
    dead_letters = {dead_letter["key"]: dead_letter for dead_letter in listed(run)}
    first, second = dead_letters["first"], dead_letters["second"]
    assert (first["stage"], first["attempt"], first["state"]) == ("decode", 1, "dead")
    assert (first["model"], first["origin"]) == ("mnist@2", f"{settings.images_topic}/0/0")
    assert (second["stage"], second["origin"]) == ("envelope", f"{settings.images_topic}/0/1")
    for chosen in (
        ["--reason", "CE_KNOWNLABEL"],
        ["--stage", "envelope", "--model", "mnist", "--topic", settings.images_topic, "--since", "1h"],
    ):
        assert [dead_letter["key"] for dead_letter in listed(run, *chosen)] == ["second"]
    for nothing in (["--model", "mnist@1"], ["--topic", "other"], ["--until", "1h"], ["--stage", "kudu"]):
        assert listed(run, *nothing) == []
    assert len(listed(run, "--limit", "1")) == 1
    table = run("list")
    assert table.exit_code == 0
    assert first["place"] in table.stdout
    assert run("list", "--since", "yesterday").exit_code == 2

    shown = run("show", first["place"], "--save", "bytes")
    assert shown.exit_code == 0, shown.output
    assert (tmp_path / "bytes").read_bytes() == b"no \x00 image"
    assert "\x1b" not in shown.stdout
    assert r"\xff\x1b[31m" in shown.stdout
    assert "[red]" in shown.stdout
    assert "[bold]not markup" in shown.stdout
    refused = run("show", first["place"], "--save", "bytes")
    assert isinstance(refused.exception, NotSaved)
    assert "--force" in str(refused.exception)
    assert run("show", second["place"], "--save", "bytes", "--force").exit_code == 0
    assert (tmp_path / "bytes").read_bytes() == b"nor this"
    headers = json.loads(run("show", first["place"], "--json").stdout)["headers"]
    assert headers[:4] == [
        {"name": "ce_id", "text": "x", "hex": None},
        {"name": "own", "text": None, "hex": None},
        {"name": "own", "text": None, "hex": b"\xff\x1b[31m".hex()},
        {"name": "[red]", "text": "[bold]not markup", "hex": None},
    ]

    for place in ("0/999", "99/0", "first"):
        result = run("show", place)
        assert isinstance(result.exception, NoSuchDeadLetter), result.output
        assert "flumen dead list --all" in str(result.exception)
    assert run("replay").exit_code == 2
    assert run("replay", "0/0", "--matching").exit_code == 2
    assert run("park", "0/0", "--stage", "decode").exit_code == 2

    # Delivered twice, it is one.
    (raw,) = [raw for raw in observer.read(settings.dead_topic) if raw.key == b"first"]
    producer = Producer(settings.producer_config())
    producer.produce(settings.dead_topic, key=raw.key, value=raw.value, headers=list(raw.headers))
    assert producer.flush(60) == 0
    assert len(listed(run)) == 2
    assert run("park", f"{raw.partition}/{raw.offset}").exit_code == 0
    assert [dead_letter["key"] for dead_letter in listed(run)] == ["second"]


def test_replay_until_the_cap_then_park(
    two_dead_letters: Any, run: Run, settings: Settings, observer: Any, wait_until_acknowledged: Wait
) -> None:
    (first,) = listed(run, "--stage", "decode")
    dry = run("replay", first["place"], "--dry-run", "--json")
    assert json.loads(dry.stdout)[0]["outcome"] == "would be replayed"
    assert len(listed(run)) == 2

    for attempt in (2, 3):
        (dead_letter,) = listed(run, "--stage", "decode")
        result = run("replay", dead_letter["place"])
        assert result.exit_code == 0, result.output
        wait_until_acknowledged(1 + attempt, two_dead_letters)
        (dead_letter,) = listed(
            run, "--stage", "decode"
        )  # the one that was replayed is hidden, this one died anew
        assert (dead_letter["attempt"], dead_letter["size_bytes"]) == (attempt, first["size_bytes"])
    sent = [raw for raw in observer.read(settings.images_topic) if raw.key == b"first"]
    assert [(raw.value, raw.headers) for raw in sent] == [
        (b"no \x00 image", tuple(HOSTILE)),
        (b"no \x00 image", (*HOSTILE, ("flumen.attempt", b"1"))),
        (b"no \x00 image", (*HOSTILE, ("flumen.attempt", b"2"))),
    ]

    capped = run("replay", "--matching", "--stage", "decode", "--json")
    assert capped.exit_code == 1
    assert "has died 3 times" in json.loads(capped.stdout)[0]["why"]
    assert len(list(observer.read(settings.images_topic))) == 4
    again = run("replay", first["place"])
    assert again.exit_code == 1
    assert "--again" in again.stdout

    parked = run("park", "--matching", "--reason", dead_letter["reason"][:20], "--stage", "decode")
    assert parked.exit_code == 0, parked.output
    place = tuple(int(part) for part in dead_letter["place"].split("/"))
    dead = observer.read_one(settings.dead_topic, *place)
    (kept,) = observer.read(settings.parked_topic)
    assert (kept.key, kept.value, kept.headers) == (dead.key, dead.value, dead.headers)
    assert [dead_letter["key"] for dead_letter in listed(run)] == ["second"]
    states = sorted(
        (dead_letter["attempt"], dead_letter["state"])
        for dead_letter in listed(run, "--all", "--stage", "decode")
    )
    assert states == [(1, "replayed"), (2, "replayed"), (3, "parked")]
    assert run("park", dead_letter["place"]).exit_code == 1


def test_what_the_broker_does_not_take_stays_dead(run: Run, settings: Settings, observer: Any) -> None:
    create_topic(settings.kafka_servers, settings.dead_topic)
    create_topic(settings.kafka_servers, settings.images_topic, **{"max.message.bytes": "2000"})
    producer = Producer(settings.producer_config())
    for key, size, topic in (("large", 5000, settings.images_topic), ("small", 50, settings.images_topic)):
        producer.produce(settings.dead_topic, key=key, value=b"x" * size, headers=origin(topic, size))
    producer.produce(settings.dead_topic, key="orphan", value=b"x", headers=origin("gone", 1))
    producer.produce(settings.dead_topic, key="[bold]\x1b[2J", value=None, headers=[("stray", b"\xff")])
    assert producer.flush(60) == 0

    assert "\x1b" not in run("list").stdout
    result = run("replay", "--matching", "--json")
    assert result.exit_code == 1
    why = {row["key"]: row["why"] for row in json.loads(result.stdout)}
    assert "not acknowledged" in why["large"]
    assert "no topic 'gone'" in why["orphan"]
    assert "does not say" in why["[bold]\x1b[2J"]
    assert why["small"] == ""
    assert [raw.key for raw in observer.read(settings.images_topic)] == [b"small"]
    assert sorted(dead_letter["key"] for dead_letter in listed(run)) == ["[bold]\x1b[2J", "large", "orphan"]


def origin(topic: str, offset: int) -> list[tuple[str, str | bytes | None]]:
    place = {"topic": topic, "partition": "0", "offset": str(offset)}
    return [(f"__connect.errors.{name}", value) for name, value in place.items()]


def test_what_died_is_stored_once_the_cause_is_removed(
    settings: Settings,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Wait,
    run: Run,
    png: bytes,
) -> None:
    ensure_topics(settings)
    strict = start_worker(max_image_bytes=len(png) - 1)
    publish(settings, (b"a", png, None), (b"b", png, [("ce_id", b"b"), ("ce_subject", b"b.png")]))
    wait_until_acknowledged(2, strict)
    assert strict.stop() == 0
    assert {dead_letter["key"] for dead_letter in listed(run)} == {"a", "b"}

    replayed = run("replay", "--matching", "--since", "1h", "--json")
    assert replayed.exit_code == 0, replayed.output
    assert [row["outcome"] for row in json.loads(replayed.stdout)] == ["replayed", "replayed"]
    worker = start_worker()
    wait_until_acknowledged(4, worker)
    assert worker.stop() == 0
    assert listed(run) == []
    kudu = KuduReader(settings.kudu_options())
    for key in ("a", "b"):
        row = kudu.get(key)
        assert row is not None
        assert row["image"] == png
    assert kudu.count() == 2
    kudu.close()
