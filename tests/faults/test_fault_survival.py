"""What a hostile sender puts into every topic that a worker or a command reads stops neither."""

import json
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from fault_audit import find
from fault_report import LONG
from fault_scene import Scene
from hostile_records import MAX_IMAGE_BYTES, Hostile
from in_process import call_flumen
from PIL import Image
from raw_records import publish_raw

from flumen.cli.background import environment_of
from flumen.streams.control.keys import new_key_pair
from flumen.streams.dead_letters.dead_letter import read_dead_letter
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_resolutions_topic, ensure_topics
from flumen.streams.settings import Settings
from flumen.streams.wire import to_image

SEED = int(os.environ.get("FLUMEN_SEED", "20261128"))
IMAGES = 75_000 if LONG else 1_000
RECORDS = 5_000 if LONG else 300
"""In each of the five small topics."""

SMALL_TOPICS = ("control", "status", "audit", "dead", "resolutions")
ANY_TIME = {
    "message.timestamp.after.max.ms": str(2**63 - 1),
    "message.timestamp.before.max.ms": str(2**63 - 1),
    "retention.ms": "-1",  # what is of 1970 would be deleted before it is read
}


def images() -> list[bytes]:
    made = []
    for mode, form in (
        ("L", "PNG"),
        ("RGB", "JPEG"),
        ("P", "GIF"),
        ("RGB", "BMP"),
        ("L", "TIFF"),
        ("RGB", "WEBP"),
    ):
        buffer = BytesIO()
        Image.new(mode, (28, 28), 200 if mode != "RGB" else (9, 99, 200)).save(buffer, form)
        made.append(buffer.getvalue())
    return made


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Records count only where they are signed: else the sender would be an operator."""
    pair = new_key_pair()
    private = tmp_path / "operator.pem"
    private.write_bytes(pair.private)
    more: dict[str, Any] = {
        "max_image_bytes": MAX_IMAGE_BYTES,
        "control_public_keys": (pair.public,),
        "control_private_key_file": private,
        "topic_partitions": 1,
        "heartbeat_s": 0.2,
    }
    return settings.model_copy(update=more)


@pytest.fixture
def start_worker(start_worker: Callable[..., Any], settings: Settings) -> Callable[..., Any]:
    return start_worker


def let_any_time_in(settings: Settings) -> None:
    admin = AdminClient(settings.admin_config())
    names = [settings.images_topic, *(getattr(settings, f"{name}_topic") for name in SMALL_TOPICS)]
    topics = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    for topic in topics:
        for name, value in ANY_TIME.items():
            topic.add_incremental_config(
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            )
    for altered in admin.incremental_alter_configs(topics).values():
        altered.result()


def flumen(settings: Settings, *arguments: str) -> str:
    done = call_flumen(environment_of(settings), *arguments)
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    assert done.returncode == 0, (arguments, done.stderr[-3000:])
    return done.stdout


def test_hostile_sender(scene: Scene) -> None:
    """Random keys, values, headers, timestamps and sizes into every topic, those of control and dead letters too."""
    settings = scene.settings
    ensure_topics(settings)
    ensure_resolutions_topic(settings)
    let_any_time_in(settings)
    hostile = Hostile(SEED, images())
    scene.row.done += f" Seed {SEED}."
    for name in SMALL_TOPICS:  # before the worker's start
        half = hostile.to_small_topic(RECORDS // 2, settings.model_name)
        publish_raw(settings.kafka_servers, getattr(settings, f"{name}_topic"), half)
    worker = scene.start()
    worker.wait_for_line("worker is ready")
    offsets = publish_raw(settings.kafka_servers, settings.images_topic, hostile.to_images(IMAGES))
    for name in SMALL_TOPICS:  # and while it runs
        half = hostile.to_small_topic(RECORDS // 2, settings.model_name)
        publish_raw(settings.kafka_servers, getattr(settings, f"{name}_topic"), half)
    taken = {offset for offset in offsets if offset is not None}
    assert len(taken) > IMAGES / 2, (
        "brokers refuse whole batches: of what is packed, those of a time before 1970"
    )
    scene.wait_for(len(taken), worker)
    judge(scene, taken)
    ask_all(scene)
    worker.check()
    scene.stop(worker)
    scene.row.result = "passed"


def judge(scene: Scene, taken: set[int]) -> None:
    """Each message is dead, or its image is stored."""
    settings = scene.settings
    observer = TopicReader(settings)
    ours = f"{settings.images_topic}/0/"
    dead_letters = [
        dead_letter
        for dead_letter in map(read_dead_letter, observer.read(settings.dead_topic))
        if dead_letter.sha256
    ]
    dead = {
        int(dead_letter.origin.removeprefix(ours))
        for dead_letter in dead_letters
        if dead_letter.origin.startswith(ours)
    }
    messages = [to_image(raw, 0) for raw in observer.read(settings.images_topic)]
    observer.close()
    assert {message.offset for message in messages} == taken
    alive = {message.id for message in messages if message.offset not in dead}
    found = find(settings)
    row = scene.row
    row.images, row.stored, row.dead = len(taken), len(taken - dead), len(dead)
    row.lost, row.doubled = len(alive - set(found.kudu)), sum(count > 1 for count in found.kudu.values())
    assert dead <= taken
    assert alive == set(found.kudu) == set(found.solr)
    assert set(found.kudu.values()) == set(found.solr.values()) == {1}


def ask_all(scene: Scene) -> None:
    """Every command that reads one of these topics answers; and an operator is obeyed."""
    settings = scene.settings
    model = settings.model_name
    listed = json.loads(flumen(settings, "dead", "list", "--json"))
    assert len(listed) >= scene.row.dead
    flumen(settings, "dead", "list", "--limit", "200")
    for dead_letter in listed[:: max(1, len(listed) // 3)]:
        flumen(settings, "dead", "show", dead_letter["place"])
    flumen(settings, "dead", "park", "--matching", "--reason", "tombstone", "--json")
    flumen(settings, "models", "activate", f"{model}@2", "--reason", "still obeyed", "--force")
    assert json.loads(flumen(settings, "models", "status", "--json"))
    # Who forges a status is taken for a worker that is silent; `--force` goes on without it.
    assert "still obeyed" in flumen(settings, "models", "history", "--json")
