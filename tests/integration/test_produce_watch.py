"""`flumen produce --watch` against a real broker: each file once, whatever is killed or away meanwhile."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from own_broker import Broker
from produce_topics import create_topic, published

from flumen.stack.layout import Endpoints, Layout
from flumen.stack.ports import choose
from flumen.stack.pytest_plugin import Names

Watch = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def start_watch(folder: Path, tmp_path: Path) -> Iterator[Watch]:
    """Watch the folder with a broker at this address; the process is gone after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(kafka: str, topic: str, *more: str) -> "subprocess.Popen[bytes]":
        command = [
            sys.executable,
            "-m",
            "flumen",
            "produce",
            "--watch",
            str(folder),
            "--topic",
            topic,
            "--settle",
            "0.1",
        ]
        with (tmp_path / "watch.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, "--json", *more],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=tmp_path,
                env={**os.environ, "FLUMEN_KAFKA_SERVERS": kafka, "FLUMEN_MAX_IMAGE_BYTES": "100000"},
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def put(folder: Path, name: str, content: bytes) -> None:
    """As a careful writer does: complete, and then under its name."""
    (folder / f"{name}.part").write_bytes(content)
    (folder / f"{name}.part").rename(folder / name)


def end(process: "subprocess.Popen[bytes]", number: int) -> dict[str, Any]:
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    summary: dict[str, Any] = json.loads(output)
    return summary


def test_each_file_once_over_a_stop_and_a_kill(
    flumen_stack: Endpoints,
    flumen_names: Names,
    start_watch: Watch,
    folder: Path,
    tmp_path: Path,
    wait_until: Callable[..., Any],
) -> None:
    topic = create_topic(flumen_stack.kafka, flumen_names.images_topic)

    def arrived() -> list[str]:
        return [image.id for image in published(flumen_stack.kafka, topic, flumen_names.group_id)]

    def wait_for(*ids: str) -> None:
        wait_until(lambda: len(arrived()) >= len(ids), f"{len(ids)} images")
        assert arrived() == list(ids)

    put(folder, "a.png", b"a")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name in ("1.png", "2.png"):
            archive.writestr(name, name)
    (tmp_path / "b.zip").rename(folder / "b.zip")
    put(folder, "c-too-large.png", bytes(100_001))
    claims = tarfile.TarInfo("claims.png")
    claims.size = 1 << 60
    put(folder, "0.tar", claims.tobuf(tarfile.GNU_FORMAT))
    (folder / "1.png").symlink_to("/proc/self/environ")
    (folder / "d.png.part").write_bytes(b"never finished")
    process = start_watch(flumen_stack.kafka, topic)
    wait_for("in/a.png", "in/b.zip/1.png", "in/b.zip/2.png")
    wait_until(lambda: "c-too-large.png" in (tmp_path / "watch.log").read_text(), "the last of them")
    summary = end(process, signal.SIGTERM)
    assert (summary["files"], summary["images"], summary["failed"]) == (2, 3, 2)
    log = (tmp_path / "watch.log").read_text()
    assert log.count("1.png' was left out: it is a link") == 1
    assert log.count("0.tar' cannot be read: ") == 1
    assert log.count("c-too-large.png' has more than 100,000 bytes") == 1

    put(folder, "e.png", b"e")
    process = start_watch(flumen_stack.kafka, topic)
    wait_for("in/a.png", "in/b.zip/1.png", "in/b.zip/2.png", "in/e.png")
    # Killed once it has remembered that: the next file is only looked for afterwards.
    put(folder, "f.png", b"f")
    wait_for("in/a.png", "in/b.zip/1.png", "in/b.zip/2.png", "in/e.png", "in/f.png")
    process.kill()
    process.wait()

    put(folder, "g.png", b"g")
    process = start_watch(flumen_stack.kafka, topic)
    wait_until(lambda: "in/g.png" in arrived(), "the image behind the kill")
    assert end(process, signal.SIGINT)["failed"] == 2
    ids = arrived()
    assert [ids.count(f"in/{name}") for name in ("a.png", "b.zip/1.png", "e.png", "g.png")] == [1, 1, 1, 1]
    # It may have been killed between the broker's answer and its own note of it.
    assert ids.count("in/f.png") in (1, 2)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    ports = choose(("kafka", "kafka-controller"), {}, set())
    broker = Broker(Layout(tmp_path / "broker"), dict(ports))
    yield broker
    broker.kill()


def test_a_broker_that_is_away_is_waited_for(
    broker: Broker, start_watch: Watch, folder: Path, tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    broker.start()
    topic = create_topic(broker.address, "images")
    broker.kill()
    put(folder, "a.png", b"a")
    process = start_watch(broker.address, topic)
    wait_until(lambda: "Waiting for it" in (tmp_path / "watch.log").read_text(), "the broker to be missed")
    put(folder, "b.png", b"b")
    broker.start()
    wait_until(lambda: len(published(broker.address, topic, "g")) >= 2, "both images")
    assert end(process, signal.SIGTERM)["files"] == 2
    assert [image.id for image in published(broker.address, topic, "g")] == ["in/a.png", "in/b.png"]
