"""What a worker makes of the control topic: at its start, while it runs, and where it refuses."""

import hashlib
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient
from swap_models import folding_file, softmax_model
from swap_scene import Operator, Scene, signer, stored_rows

from flumen.models.repository import MODEL_FILE
from flumen.replay.sql import query
from flumen.stores.kudu import KuduReader
from flumen.streams.control.keys import new_key_pair, read_private_key
from flumen.streams.control.operator.audit_log import read_audit_log
from flumen.streams.control.operator.fleet import Fleet
from flumen.streams.control.operator.writer import DesiredChange, StateWriter, make_signer, read_newest
from flumen.streams.control.records import MAX_REVISION, Command, ModelRef, WorkerState, to_json
from flumen.streams.kafka.errors import make_consumer
from flumen.streams.kafka.message import Outgoing, RawMessage
from flumen.streams.kafka.producer import command_producer
from flumen.streams.kafka.received import raw_message
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.settings import Settings

TOOK_EFFECT = """select kafka_partition, control_revision, model, model_version,
  min(kafka_offset) first_offset, max(kafka_offset) last_offset, count(*) images
from images group by all order by kafka_partition, first_offset"""
"""As docs/kudu.md has it."""

COLUMNS = ["id", "model_version", "control_revision", "kafka_partition", "kafka_offset"]


@pytest.fixture(scope="module")
def running(shared_scene: Scene) -> Any:
    """A worker that no record was there for when it started; it serves several tests."""
    limits = {"max_model_load_time_s": 3, "max_model_load_memory_bytes": 512 * 1024 * 1024}
    # A helper that was ended is started anew, which is paced as well.
    return shared_scene.start(**limits, prepare_share=1)


@pytest.fixture
def base(shared_scene: Scene, running: Any) -> int:
    """The revision at which it serves the first model: whatever a test before has left."""
    revision = shared_scene.operator.write(shared_scene.shipped)
    shared_scene.wait_for_status(
        lambda status: (status.revision, status.refused) == (revision, None), "a fresh start"
    )
    running.check()
    return revision


def test_a_late_start_knows_all(scene: Scene, kudu: KuduReader) -> None:
    """No image is classified before the topic was read to its end and the model it names is there.

    It begins with what all others still run where the next one is broken, and says why.
    """
    second, third = scene.model(2), scene.model(3)
    for champion in (second, scene.shipped, third):
        scene.operator.write(champion)
    bad = _damaged(scene, Path(scene.settings.model_repository), lambda content: content[:100])
    scene.operator.write(third, prepare=bad)
    scene.publish(200)
    worker = scene.start()
    scene.wait_for_images()
    assert {(row["model_version"], row["control_revision"]) for row in stored_rows(kudu, COLUMNS)} == {(3, 4)}
    status = scene.wait_for_status(lambda status: status.refused is not None, "a refusal")
    assert status.refused is not None
    assert (status.champion, status.revision, status.refused.reason) == (third, 4, "ModelCorrupt")
    assert worker.stop() == 0
    assert scene.statuses() == [], "no tombstone"


def test_prepare_then_activate(shared_scene: Scene, running: Any, base: int) -> None:
    """Preparing changes nothing but memory; activating changes every image from then on."""
    scene, second, worker = shared_scene, shared_scene.model(2), running
    scene.publish(300)
    scene.wait_for_images()
    scene.operator.write(scene.shipped, prepare=second)
    ready = scene.wait_for_status(lambda status: status.state is WorkerState.READY, "ready")
    assert (ready.champion, ready.prepared, ready.revision) == (scene.shipped, second, base + 1)
    scene.publish(300)
    scene.wait_for_images()
    scene.operator.write(second)
    active = scene.wait_for_status(lambda status: status.champion == second, "the new champion")
    assert (active.state, active.prepared, active.revision) == (WorkerState.SERVING, None, base + 2)
    scene.publish(300)
    scene.wait_for_images()
    with closing(KuduReader(scene.settings.kudu_options())) as kudu:
        rows, spans = stored_rows(kudu, COLUMNS), query(kudu, TOOK_EFFECT).rows
    assert len(rows) == 900
    assert {(row["model_version"], row["control_revision"]) for row in rows} == {
        (1, base),
        (1, base + 1),
        (second.version, base + 2),
    }
    (effect,) = scene.wait_until(
        lambda: [entry for entry in scene.effects() if entry.revision == base + 2], "audit"
    )
    assert (effect.champion, effect.worker) == (second, active.worker)
    by_partition = {(span[0], span[1]): span for span in spans}
    for partition in {span[0] for span in spans}:
        versions = [span[3] for span in spans if span[0] == partition]
        assert versions == sorted(versions)
        ends = [(span[4], span[5]) for span in spans if span[0] == partition]
        assert all(former[1] < first[0] for former, first in pairwise(ends)), "one after the other"
    assert effect.offsets
    for partition, offset in effect.offsets.items():
        assert by_partition[int(partition), base + 2][4] == offset
    assert sum("taken unsigned" in line["event"] for line in worker.lines()) == 1
    published = [line for line in worker.lines() if line["event"].startswith("another model")]
    assert [(line["former"], line["version"]) for line in published] == [(1, second.version)]


def test_what_is_refused_leaves_the_old_model(shared_scene: Scene, running: Any, base: int) -> None:
    """Each with its own reason; and one that was not prepared, but is to be the champion at once."""
    scene, worker, told = shared_scene, running, len(running.lines())
    good = scene.model(3)
    root = Path(scene.settings.model_repository)
    broken = {
        "ModelCorrupt": _damaged(scene, root, lambda content: content[:-1] + b"?"),
        "NotOnnx": _replaced(scene, root, b"no model at all"),
        "ModelEmpty": _replaced(scene, root, b""),
        "GoldenMismatch": _replaced(scene, root, softmax_model(99)[0]),
        "TooSlow": _replaced(scene, root, folding_file(side=4096, products=40)),
        "TooMuchMemory": _replaced(scene, root, folding_file(side=16_384, products=1)),
        "ModelDiffers": ModelRef(good.version, "00" * 32),
        "ModelNotFound": ModelRef(999, "ab" * 32),
    }
    at_once = ("at once", "ModelCorrupt", broken["ModelCorrupt"])
    for way, reason, ref in [("prepared", *each) for each in broken.items()] + [at_once]:
        revision = scene.operator.write(ref if way == "at once" else scene.shipped, prepare=ref)
        status = scene.wait_for_status(
            lambda status, revision=revision: (
                status.refused is not None and status.refused.revision == revision
            ),
            f"{reason} at revision {revision}",
        )
        assert status.refused is not None
        assert (status.refused.reason, status.refused.ref) == (reason, ref)
        assert (status.state, status.champion) == (WorkerState.REFUSED, scene.shipped)
    before = scene.sent
    scene.publish(50)
    scene.wait_for_images()
    with closing(KuduReader(scene.settings.kudu_options())) as kudu:
        rows = [row for row in stored_rows(kudu, COLUMNS) if scene.digits.number(row["id"]) >= before]
    assert [row["model_version"] for row in rows] == [1] * 50
    scene.operator.write(good)
    status = scene.wait_for_status(lambda status: status.champion == good, "a good champion")
    assert (status.state, status.refused) == (WorkerState.SERVING, None)
    assert sum(line["event"].startswith("model refused") for line in worker.lines()[told:]) == len(broken) + 1


def test_records_that_change_nothing(shared_scene: Scene, running: Any, base: int) -> None:
    scene, worker, second = shared_scene, running, shared_scene.model(2)
    told = len(worker.lines())
    operator = scene.operator
    operator.write(scene.shipped)
    copy = to_json(operator.newest)
    operator.write(scene.shipped)
    operator.revision = base + 1
    given_up = to_json(operator.state(second))
    operator.revision = MAX_REVISION
    other = to_json(operator.state(second)).replace(b'"mnist"', b'"other"')
    newer = to_json(operator.state(second)).replace(b'"revision"', b'"schema":"2","revision"')
    records = [
        ("RecordStale", copy),
        ("RecordConflict", given_up),
        ("RecordUnrecorded", to_json(operator.state(second))),
        ("RecordMisplaced", other),
        ("RecordMalformed", newer),
        ("RecordMalformed", b"\x00\xff not JSON"),
        ("RecordMalformed", None),
        (
            "RecordMalformed",
            to_json(operator.state(second)).replace(b'"version":%d' % second.version, b'"version":"../../2"'),
        ),
        ("RecordMalformed", b" " * 100_000),
    ]
    for number, (reason, value) in enumerate(records, 1):
        operator.send(value)
        refusals = scene.wait_until(
            lambda number=number: _refused_records(worker, told, number), reason, worker.check
        )
        assert refusals[-1]["reason"] == reason
        status = scene.wait_for_status(
            lambda status, reason=reason: status.refused is not None and status.refused.reason == reason,
            reason,
        )
        assert (status.champion, status.revision) == (scene.shipped, base + 2)
    operator.send(to_json(operator.state(second)), key=b"other")  # another model's workers are meant
    operator.revision = base + 2
    operator.write(second)
    status = scene.wait_for_status(lambda status: status.champion == second, "a record above the last")
    assert (status.revision, status.refused) == (base + 3, None)
    assert len(_refused_records(worker, told, 0)) == len(records)


def test_with_keys_only_signed_records_count(scene: Scene, tmp_path: Path) -> None:
    """Before the start and after it: neither an unsigned record nor one by another key changes anything.

    An aborted transaction's records are signed as well as others, and lie in the log for whoever may read it: sent
    again they are told, and never served.
    """
    pair, other = new_key_pair(), new_key_pair()
    second = scene.model(2)
    operator = scene.operator
    operator.write(second)  # not signed: the worker that starts now must not believe it
    worker = scene.start(control_public_keys=[pair.public])
    status = scene.wait_for_status(lambda status: status.refused is not None, "a forged record")
    assert status.refused is not None
    assert (status.champion, status.revision, status.refused.reason) == (scene.shipped, 0, "RecordForged")
    operator.sign = _signer(scene, other.private, tmp_path)
    operator.write(second)
    scene.wait_until(lambda: _refused_records(worker, 0, 2), "a record by another key", worker.check)
    operator.sign = _signer(scene, pair.private, tmp_path)
    signed, topic = to_json(operator.state(second)), scene.settings.control_topic
    operator.send(signed.replace(b'"a test"', b'"mallory"'), headers=operator.sign(topic, b"mnist", signed))
    scene.wait_until(lambda: _refused_records(worker, 0, 3), "a record that was changed", worker.check)
    assert scene.statuses()[0].champion == scene.shipped
    operator.write(second)
    status = scene.wait_for_status(lambda status: status.champion == second, "a signed record")
    assert status.refused is None
    assert not any("taken unsigned" in line["event"] for line in worker.lines())
    _send_again_what_was_given_up(scene, {"control_public_keys": [pair.public]})


def _send_again_what_was_given_up(scene: Scene, keys: dict[str, Any]) -> None:
    settings, operator = scene.settings.model_copy(update=keys), scene.operator
    champion, second, third = scene.shipped, scene.model(2), scene.model(3)
    standing = operator.write(champion)
    operator.write(third, gives_up=True)
    in_control, in_audit_log = _given_up(scene)
    _send_again(settings, in_control)
    scene.wait_for_status(
        lambda status: status.refused is not None, "what has no line in the audit log is refused"
    )
    assert scene.statuses()[0].champion == champion
    operator.revision = standing
    operator.write(second)
    scene.wait_for_status(lambda status: status.champion == second, "what was committed")
    _send_again(settings, in_audit_log)
    late = scene.start(**keys)
    _send_again(settings, in_control)
    told = scene.wait_for_statuses(
        2,
        lambda status: status.refused is not None and status.refused.reason == "RecordConflict",
        "both workers' word",
    )
    assert {(status.champion, status.revision) for status in told} == {(second, standing + 1)}
    with Fleet(settings) as fleet:
        fleet.settle()
        view = fleet.view("mnist")
    assert view.desired is not None
    assert (view.desired.champion, view.conflict and view.conflict[:15]) == (second, "RecordConflict:")
    changes = read_audit_log(settings, "mnist").changes
    assert [(change.state.champion, change.refused) for change in changes][-3:] == [
        (champion, None),
        (second, None),
        (third, "RecordConflict"),
    ]
    healed = operator.write(second)
    scene.wait_for_statuses(
        2, lambda status: (status.revision, status.refused) == (healed, None), "the next state heals it"
    )
    assert late.stop() == 0


def test_with_keys_a_state_that_is_gone_from_its_topic_still_counts(scene: Scene, tmp_path: Path) -> None:
    """As where a forged record, or an old one sent again, is all that compaction has left."""
    pair = new_key_pair()
    key = tmp_path / "swap.key"
    key.write_bytes(pair.private)
    keys: dict[str, Any] = {"control_public_keys": [pair.public]}
    settings = scene.settings.model_copy(update={**keys, "control_private_key_file": key})
    writer = StateWriter(settings, "mnist", make_signer(settings))
    change = DesiredChange(
        command=Command.ACTIVATE,
        model="mnist",
        champion=scene.shipped,
        challenger=None,
        prepare=None,
        actor="alice",
        reason="",
    )
    first = writer.write(change, None)
    second = writer.write(replace(change, champion=scene.model(2)), first)

    scene.wait_until(lambda: read_newest(settings, "mnist") == second, "what was committed")
    _make_anew(scene, settings.control_topic)
    operator = Operator(scene.settings)
    old = to_json(first)
    operator.send(old, headers=make_signer(settings)(settings.control_topic, b"mnist", old))
    operator.send(None)
    worker = scene.start(**keys)
    scene.wait_for_status(lambda status: status.revision == second.revision, "the state of the audit log")
    (status,) = scene.statuses()
    assert status.champion == second.champion
    assert status.refused is not None
    assert status.refused.reason == "RecordForged"
    with Fleet(settings) as fleet:
        assert fleet.view("mnist").desired == second
    third = writer.write(change, second)
    assert third.revision == 3
    scene.wait_for_status(lambda status: status.champion == scene.shipped, "the next state")
    assert sum(line["event"].startswith("the control topic has lost") for line in worker.lines()) == 1


def _refused_records(worker: Any, since: int, at_least: int) -> list[dict[str, Any]]:
    """The records that were refused; not those whose line in the audit log came late, as on a busy machine."""
    lines = [
        line
        for line in worker.lines()[since:]
        if line["event"] == "control record refused"
        and (line["reason"] != "RecordUnrecorded" or f"revision {MAX_REVISION} " in line["message"])
    ]
    return lines if len(lines) >= at_least else []


def _send_again(settings: Settings, raw: RawMessage) -> None:
    again = Outgoing(raw.topic, raw.key, raw.value, list(raw.headers))
    assert command_producer(settings).send([again]) == [None]


def _given_up(scene: Scene) -> list[RawMessage]:
    """Return the records of transactions that were aborted, as anybody reads them who does not leave them out."""
    found = []
    with closing(TopicReader(scene.settings)) as committed:
        for topic in (scene.settings.control_topic, scene.settings.audit_topic):
            offsets = {raw.offset for raw in committed.read(topic)}
            found += [raw for raw in _uncommitted(scene.settings, topic) if raw.offset not in offsets]
    assert len(found) == 2
    return found


def _uncommitted(settings: Settings, topic: str) -> list[RawMessage]:
    """Return what lies in the one partition of a topic, committed or not."""
    found = []
    config = settings.lone_consumer_config() | {"isolation.level": "read_uncommitted"}
    with closing(make_consumer(config)) as consumer:
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        while (message := consumer.poll(60)).error() is None:
            found.append(raw_message(message))
    assert message.error().code() == KafkaError._PARTITION_EOF
    return found


def _make_anew(scene: Scene, topic: str) -> None:
    admin = AdminClient(scene.settings.admin_config())
    admin.delete_topics([topic])[topic].result()
    scene.wait_until(lambda: topic not in admin.list_topics(timeout=60).topics, "the topic's end")
    ensure_topics(scene.settings)


def _signer(scene: Scene, private: bytes, folder: Path) -> Any:
    path = folder / "key.pem"
    path.write_bytes(private)
    return signer(read_private_key(path))


def _damaged(scene: Scene, root: Path, change: Any) -> ModelRef:
    """Return a version whose file was changed after it was registered."""
    ref = scene.model(50)
    path = root / "mnist" / str(ref.version) / MODEL_FILE
    path.write_bytes(change(path.read_bytes()))
    return ref


def _replaced(scene: Scene, root: Path, content: bytes) -> ModelRef:
    """Return a version whose file and manifest agree, written past the repository's checks."""
    ref = scene.model(51)
    folder = root / "mnist" / str(ref.version)
    sha256 = hashlib.sha256(content).hexdigest()
    (folder / MODEL_FILE).write_bytes(content)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace(ref.sha256, sha256))
    return ModelRef(ref.version, sha256)
