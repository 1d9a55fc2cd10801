"""A header whose name is no text, in every topic that a worker or a command reads, behind hundreds of good messages.

Behind hundreds, since CPython specialises a call that was made often enough, and no longer looks then whether an
exception was left behind.
"""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from raw_records import RawRecord, publish_raw

from flumen.streams.dead_letters.dead_letter import read_dead_letter
from flumen.streams.kafka.message import UNREADABLE_HEADERS
from flumen.streams.kafka.received import raw_message
from flumen.streams.kafka.topics import ensure_resolutions_topic, ensure_topics
from flumen.streams.settings import Settings

WARM = 600
GOOD = (b"own", b"1")
BAD = (b"\xff\xfe", b"2")


def record(
    number: int, *headers: tuple[bytes, bytes | None], key: bytes = b"", value: bytes = b""
) -> RawRecord:
    return RawRecord(key or b"key %d" % number, value or b"{}", headers)


@pytest.fixture
def topics(settings: Settings) -> dict[str, str]:
    ensure_topics(settings)
    ensure_resolutions_topic(settings)
    return {
        name: getattr(settings, f"{name}_topic")
        for name in ("images", "dead", "resolutions", "control", "status", "audit")
    }


def publish_warm(settings: Settings, topic: str, key: bytes, value: bytes = b"{}") -> int:
    """Publish hundreds of good records, a bad one, a good one and two bad ones; return the offset of the first bad."""
    records = [record(number, GOOD, value=value) for number in range(WARM)]
    bad = record(0, GOOD, BAD, (b"\xfe", None), key=key, value=value)
    records += [bad, record(WARM, GOOD, value=value), bad, bad]
    return publish_raw(settings.kafka_servers, topic, records)[WARM]


def test_what_the_client_does(settings: Settings, topics: dict[str, str]) -> None:
    """Called plainly, and warm, the client's method leaves an exception behind; called by us, it never does."""
    first_bad = publish_warm(settings, topics["images"], b"bad")
    consumer = Consumer(settings.consumer_config())
    consumer.assign([TopicPartition(topics["images"], 0, 0)])
    raws = []
    while len(raws) < WARM + 4:
        message = consumer.poll(60)
        assert isinstance(message, Message)
        raws.append(raw_message(message))
    consumer.close()
    unreadable = [raw.offset for raw in raws if raw.headers is UNREADABLE_HEADERS]
    assert unreadable == [first_bad, first_bad + 2, first_bad + 3]
    assert all(raw.headers == (("own", b"1"),) for raw in raws if raw.headers is not UNREADABLE_HEADERS)


def test_what_else_the_client_makes_of_headers(
    settings: Settings, topics: dict[str, str], observer: Any
) -> None:
    most = (GOOD,) * 100_000
    sent = [(*most, GOOD), most, ((b"a\0b", b"1"), (b"", None))]
    publish_raw(settings.kafka_servers, topics["images"], [record(0, *headers) for headers in sent])
    too_many, many, odd = [raw.headers for raw in observer.read(topics["images"])]
    assert (len(too_many), len(many)) == (0, 100_000)
    assert odd == (("a", b"1"), ("", None))


def test_a_worker_and_every_command_go_on(
    settings: Settings,
    topics: dict[str, str],
    start_worker: Callable[..., Any],
    ask_flumen: Callable[..., Any],
    run_flumen: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    observer: Any,
    png: bytes,
) -> None:
    model = settings.model_name.encode()
    publish_warm(settings, topics["control"], model)  # before the worker's start
    worker = start_worker()
    first_bad = publish_warm(settings, topics["images"], b"bad", png)
    for name in ("control", "status", "audit", "resolutions"):  # and while it runs
        publish_warm(settings, topics[name], model)
    wait_until_acknowledged(WARM + 4, worker)

    dead_letters = [read_dead_letter(raw) for raw in observer.read(topics["dead"])]
    assert [dead_letter.origin for dead_letter in dead_letters] == [
        f"{topics['images']}/0/{first_bad + behind}" for behind in (0, 2, 3)
    ]
    assert {dead_letter.stage for dead_letter in dead_letters} == {"envelope"}
    assert all("not UTF-8" in dead_letter.reason for dead_letter in dead_letters)
    refusals = [line for line in worker.lines() if line["event"] == "control record refused"]
    assert {line["reason"] for line in refusals} == {"RecordMalformed"}

    publish_warm(settings, topics["dead"], b"no dead letter of ours")
    for arguments in (
        ["dead", "list", "--json"],
        ["dead", "show", f"0/{3 + WARM}"],
        ["dead", "replay", "--matching", "--stage", "envelope", "--dry-run"],
        ["models", "status", "--json"],
        ["models", "history", "--json"],
        ["models", "activate", f"{settings.model_name}@2"],
    ):
        done = ask_flumen(*arguments)
        assert done.returncode == 0, (arguments, done.stderr.decode()[-2000:])
        assert b"Traceback" not in done.stderr
    told = run_flumen("models", "history", "--json").stderr.decode()  # a process tells it once
    assert f"{topics['audit']}/0/{WARM}" in told
    assert worker.stop() == 0
