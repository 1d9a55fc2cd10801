"""What every test of the project can ask for: settings for servers of its own, a worker process, published images."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

# pytest-xdist gives its workers a width of 80 columns, and rich keeps for good what it finds at its import.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)

DATA = Path(__file__).parent.parent / "data" / "mnist"
DEADLINE_S = 120.0


@pytest.fixture(scope="session")
def mnist() -> Path:
    """The folder of the article's data set."""
    return DATA


@pytest.fixture(scope="session")
def models_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository that holds the shipped model as champion."""
    from models.repository import Repository
    from models.shipped import seed

    root = tmp_path_factory.mktemp("models")
    seed(Repository(str(root)))
    return root


@pytest.fixture
def settings(flumen_stack: Any, flumen_names: Any, models_root: Path, tmp_path: Path) -> Any:
    """Settings that point at the test stack, with topics, tables and a core of the test's own."""
    from streams.settings import load_settings

    return load_settings(
        home=tmp_path,
        models_root=str(models_root),
        kafka_servers=flumen_stack.kafka,
        kudu_masters=flumen_stack.kudu_masters,
        solr_url=flumen_stack.solr_url,
        images_topic=flumen_names.images_topic,
        dead_topic=flumen_names.dead_topic,
        marks_topic=f"{flumen_names.dead_topic}-marks",
        parked_topic=f"{flumen_names.dead_topic}-parked",
        control_topic=flumen_names.control_topic,
        status_topic=flumen_names.status_topic,
        audit_topic=flumen_names.audit_topic,
        group_id=flumen_names.group_id,
        kudu_table_prefix=flumen_names.kudu_prefix,
        solr_core=flumen_names.solr_core,
        topic_partitions=2,
        kudu_partitions=2,
    )


def environment_of(settings: Any, **extra: Any) -> dict[str, str]:
    """The environment of a command that is to have these settings, and more by keyword."""
    from cli.background import environment_of as names_of

    return {**os.environ, **names_of(settings, **extra)}


class WorkerProcess:
    """`flumen worker` in a process of its own, its log lines as dictionaries. `command` is put in front of it."""

    def __init__(self, settings: Any, log: Path, command: Sequence[str] = (), **extra: Any) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, sys.executable, "-P", "-m", "cli", "worker"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment_of(settings, **extra),
                start_new_session=True,
            )

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def wait_for_line(self, event: str) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            return next((line for line in self.lines() if line["event"] == event), None)

        return wait_until(found, f"the worker's line {event!r}", self.check)

    def check(self) -> None:
        assert self.process.poll() is None, f"the worker ended:\n{self.log.read_text()[-4000:]}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


def wait_until(probe: Callable[[], Any], what: str, check: Callable[[], None] = lambda: None) -> Any:
    """Ask until the answer is true, and return it. The deadline is far beyond what a slow machine needs."""
    deadline = time.monotonic() + DEADLINE_S
    while not (answer := probe()):
        check()
        assert time.monotonic() < deadline, f"waited {DEADLINE_S:.0f} s for {what}"
        time.sleep(0.05)
    return answer


@pytest.fixture(name="wait_until")
def wait_until_fixture() -> Callable[..., Any]:
    """Ask until the answer is true, and return it."""
    return wait_until


@pytest.fixture
def start_worker(settings: Any, tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Start workers with the test's settings (and more, by keyword); they are gone after the test."""
    started: list[WorkerProcess] = []

    def start(**extra: Any) -> WorkerProcess:
        worker = WorkerProcess(settings, tmp_path / f"worker{len(started)}.log", **extra)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait()


@pytest.fixture
def run_flumen(settings: Any) -> Callable[..., "subprocess.CompletedProcess[bytes]"]:
    """Run a `flumen` command in a process of its own, with the test's settings; its streams are bytes."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-P", "-m", "cli", *arguments]
        return subprocess.run(command, capture_output=True, check=False, env=environment_of(settings))

    return run


@pytest.fixture
def observer(settings: Any) -> Iterator[Any]:
    """Looks at the test's topics from outside."""
    from streams.offsets import TopicObserver

    observer = TopicObserver(settings)
    yield observer
    observer.close()


@pytest.fixture
def wait_until_acknowledged(settings: Any, observer: Any) -> Callable[..., None]:
    """Wait until the worker's group has acknowledged so many messages."""

    def wait(count: int, worker: WorkerProcess) -> None:
        def done() -> bool:
            return bool(observer.progress(settings.images_topic).acknowledged >= count)

        wait_until(done, f"{count} acknowledged messages", worker.check)

    return wait


@pytest.fixture
def port() -> int:
    """A free port, for a worker's web server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def png() -> bytes:
    """A grey image of 28x28 pixels."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (28, 28), 200).save(buffer, "PNG")
    return buffer.getvalue()
