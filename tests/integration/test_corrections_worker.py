"""Labels and deletions on the real servers, against a real worker that gets the same images again and again."""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from large_images import bmp_of_bytes

from flumen.cli.background import environment_of
from flumen.cli.commands import Commands
from flumen.cli.looking_back.correcting import correcting
from flumen.cli.testing import WorkerProcess
from flumen.replay.errors import ReplayError
from flumen.stores import StoreUnavailable
from flumen.stores.kudu import KuduReader
from flumen.stores.solr import SolrReader
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

ROUNDS = 4
main = Commands(name="flumen")
TABLES = ("images", "predictions", "image_chunks", "view_chunks")


class Scene:
    """A worker, images for it, the commands, and what the stores hold."""

    def __init__(
        self, settings: Settings, folder: Path, png: bytes, capture: pytest.CaptureFixture[str]
    ) -> None:
        ensure_topics(settings)
        self._capture = capture
        self.settings, self._folder, self._png = settings, folder, png
        self.kudu, self.solr = KuduReader(settings.kudu_options()), SolrReader(settings.solr_options())
        self.topics = TopicReader(settings)
        self.started: list[WorkerProcess] = []
        self.sent = 0

    def worker(self, **extra: Any) -> WorkerProcess:
        self.started.append(
            WorkerProcess(self.settings, self._folder / f"worker{len(self.started)}.log", **extra)
        )
        return self.started[-1]

    def publish(self, *ids: str, content: bytes | None = None, label: int | None = 3) -> None:
        images = [
            SourceImage(each, self._png if content is None else content, "", "", "", label, datetime.now(UTC))
            for each in ids
        ]
        report = publish(
            images, self.settings.producer_config(), self.settings.images_topic, None, lambda _: None
        )
        assert report.sent == len(ids)
        self.sent += len(ids)

    def flumen(self, *arguments: str, code: int = 0) -> str:
        """Give a command in this process: each of its own would begin with a virtual machine for Java."""
        said = ""
        try:
            main(arguments, standalone_mode=False)
        except ReplayError as error:
            said = str(error)
        shown = "".join([*self._capture.readouterr(), said])
        assert bool(said) == bool(code), shown
        return shown

    def rows(self, table: str, column: str = "id") -> list[Any]:
        return [
            value for rows in self.kudu.scan(table, [column]) for value in rows.column(column).to_pylist()
        ]

    def left_of(self, ids: Sequence[str]) -> list[str]:
        """Say where something of these images is left."""
        self.solr.commit()
        left = [f"{table}: {each}" for table in TABLES for each in self.rows(table) if each in ids]
        return left + [f"solr: {each}" for each in ids if self.solr.get(each) is not None]


@pytest.fixture
def scene(
    settings: Settings,
    tmp_path: Path,
    png: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Scene]:
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    scene = Scene(settings, tmp_path, png, capsys)
    yield scene
    for worker in scene.started:
        worker.kill()
    for each in (scene.kudu, scene.solr, scene.topics):
        each.close()


def test_what_was_deleted_or_labelled_stays_so_when_the_topic_is_replayed_from_its_start(
    scene: Scene, wait_until: Callable[..., Any], wait_until_acknowledged: Callable[..., None], port: int
) -> None:
    large = bmp_of_bytes(150_000)
    worker = scene.worker()
    scene.publish("a", "b", "keep", "caf\u00e9 , <script>")
    scene.publish("large", content=large)
    scene.publish("broken", content=b"none")
    wait_until_acknowledged(scene.sent, worker)
    assert "large" in scene.rows("image_chunks")
    # Labels: by name and number, from a file; both stores follow, and what is computed from them.
    assert "1 image has another known label" in scene.flumen("label", "a", "7", "--reason", "seen by hand")
    file = scene.settings.home / "labels.csv"
    file.write_bytes("\ufeffid,label,note\r\nb,0,x\r\nkeep,5,y\r\n".encode())
    assert "2 images" in scene.flumen("label", "--from", str(file))
    scene.flumen("label", "b", "--none")
    refused = scene.flumen("label", "a", "nineteen", code=1)
    assert "'nineteen' is no class of its model" in refused
    assert "not stored" in scene.flumen("label", "nobody", "1", code=1)
    (history,) = json.loads(scene.flumen("label", "a", "--history", "--json"))
    assert history["knownlabel"] == 7
    assert history["reason"] == "seen by hand"
    assert history["in_all_stores"]

    def labels() -> dict[str, tuple[Any, Any, Any]]:
        scene.solr.commit()
        return {
            each: (
                (scene.kudu.get(each) or {})["knownlabel"],
                (scene.solr.get(each) or {})["knownlabel"],
                (scene.solr.get(each) or {})["correct"],
            )
            for each in ("a", "b", "keep")
        }

    prediction = (scene.kudu.get("a") or {})["prediction"]
    expected = {
        "a": (7, 7, prediction == 7),
        "b": (None, None, None),
        "keep": (5, 5, prediction == 5),
    }
    assert labels() == expected
    # A dry run changes nothing; then they go, from every table.
    gone = ["caf\u00e9 , <script>", "large"]
    said = scene.flumen("images", "delete", *gone)
    assert "2 images would be deleted" in said
    assert sorted(scene.rows("images")) == ["a", "b", *sorted([*gone, "keep"])]
    assert "is not stored" in scene.flumen("images", "delete", "nobody", "--yes", code=1)
    scene.flumen("images", "delete", *gone, "--yes", "--reason", "asked for")
    scene.flumen("images", "delete", "broken", "--unseen", "--yes")
    assert scene.left_of(gone) == []
    assert worker.stop() == 0
    dead_letters = len(list(scene.topics.read(scene.settings.dead_topic)))
    # Another group reads the topic from its start.
    again = scene.worker(group_id=f"{scene.settings.group_id}-again", http_port=port)
    deleted = _metric(port, "flumen_deleted_images_total")
    wait_until(lambda: deleted() == 3, "the deleted images to come again", again.check)
    scene.publish("a", "b", "keep", *gone)
    wait_until(lambda: deleted() == 5, "them to come once more", again.check)
    assert scene.left_of([*gone, "broken"]) == []
    assert labels() == expected
    assert len(list(scene.topics.read(scene.settings.dead_topic))) == dead_letters
    # Of a deleted image nothing is known but that; a label for it is refused; on purpose it comes again.
    assert "'a' is not deleted" in scene.flumen("images", "restore", "a", code=1)
    assert "not stored" in scene.flumen("label", "large", "1", code=1)
    scene.flumen("images", "restore", "large", "--reason", "by mistake")
    scene.publish("large", content=large)
    wait_until(lambda: scene.kudu.get("large"), "the image to be stored again", again.check)
    assert [each["kind"] for each in json.loads(scene.flumen("label", "large", "--history", "--json"))] == [
        "delete",
        "restore",
    ]


def _metric(port: int, name: str) -> Callable[[], float]:
    def value() -> float:
        try:
            with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                lines = answer.read().decode().splitlines()
        except (URLError, OSError):
            return -1
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), -1)

    return value


def test_deletions_that_race_with_deliveries_leave_nothing(
    scene: Scene, wait_until: Callable[..., Any], wait_until_acknowledged: Callable[..., None]
) -> None:
    """Images are delivered and deleted at once, in small batches; none of those that were deleted is left."""
    worker = scene.worker(max_batch_size=5)
    worker.wait_for_line("partitions assigned")
    settings = scene.settings
    chance = random.Random(14)
    gone: list[str] = []
    with correcting(settings, "a race") as corrector:
        for number in range(ROUNDS):
            ids = [f"{number} {each}" for each in range(15)]
            scene.publish(*ids)
            if number % 3:  # so that some are stored by then, some in hand, and some not yet there
                wait_until(
                    lambda ids=ids: set(ids) & set(scene.rows("images")), "some to be stored", worker.check
                )
            deleted = chance.sample(ids, 8)
            corrector.delete(deleted[:5])
            scene.publish(*deleted)
            corrector.label({each: 6 for each in ids if each not in deleted[:5]})
            corrector.delete(deleted[5:])
            gone += deleted
        wait_until_acknowledged(scene.sent, worker)
        assert corrector.unfinished() == []
    assert worker.stop() == 0
    assert scene.left_of(gone) == []
    kept = {f"{number} {each}" for number in range(ROUNDS) for each in range(15)} - set(gone)
    assert set(scene.rows("images")) == kept
    assert set(scene.rows("images", "knownlabel")) == {6}
    scene.solr.commit()
    assert scene.solr.count("known_label:6") == len(kept) == scene.solr.count()


def test_what_was_written_down_and_not_done_is_done_by_the_next_command(
    scene: Scene, wait_until_acknowledged: Callable[..., None]
) -> None:
    worker = scene.worker()
    scene.publish("a", "b", "c")
    wait_until_acknowledged(3, worker)
    killed = (
        "import os, signal\nfrom flumen.cli.looking_back.correcting import correcting\n"
        "from flumen.streams.settings import load_settings\n"
        "with correcting(load_settings(), 'killed') as corrector:\n"
        "    corrector._remove = lambda ids: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    corrector.delete(['a', 'b'])\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", killed], check=False)
    assert done.returncode == -signal.SIGKILL
    assert set(scene.rows("images")) == {"a", "b", "c"}
    scene.publish("b")  # for what comes, it holds already
    wait_until_acknowledged(4, worker)
    assert set(scene.rows("images")) == {"a", "c"}
    said = scene.flumen("images", "delete", "c")
    assert "2 deletions that an earlier command left undone" in said
    assert "Finished what an earlier command had begun: 2 corrections" in scene.flumen("label", "c", "4")
    assert scene.left_of(["a", "b"]) == []
    # A store that is down in the middle leaves as much behind.
    away = scene.settings.model_copy(update={"solr_url": "http://127.0.0.1:9/solr"})
    with correcting(away, "down") as corrector:
        with pytest.raises(StoreUnavailable):
            corrector.delete(["c"])
        assert [each.id for each in corrector.unfinished()] == ["c"]
    assert "Finished" in scene.flumen("images", "delete", "--where", "id = 'b'", "--yes")
    assert scene.left_of(["a", "b", "c"]) == []
    assert worker.stop() == 0
