"""What the tests of swapping share: an operator who writes records, and a look at what workers say of themselves."""

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Producer
from numpy.typing import NDArray
from PIL import Image
from swap_models import register

from flumen.models.datasets.dataset import read_dataset
from flumen.models.repository import CHAMPION, Repository
from flumen.stores.kudu import KuduReader
from flumen.streams.control.keys import sign
from flumen.streams.control.records import (
    Command,
    Desired,
    DesiredState,
    Effective,
    ModelRef,
    WorkerStatus,
    now,
    parse_audit,
    parse_status,
    to_json,
)
from flumen.streams.kafka.message import SentHeaders
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

Check = Callable[[WorkerStatus], bool]


class Operator:
    """Writes control records as the commands do: in transactions, each revision above the one before."""

    def __init__(
        self,
        settings: Settings,
        sign: Callable[[str, bytes, bytes], SentHeaders] = lambda _topic, _key, _value: [],
    ) -> None:
        self._settings = settings
        self.newest: DesiredState | None = None
        self._producer = Producer(
            {**settings.producer_config(), "transactional.id": f"flumen-{settings.control_topic}"}
        )
        self._producer.init_transactions()
        self.revision = 0
        self.sign = sign

    def write(
        self,
        champion: ModelRef,
        *,
        challenger: ModelRef | None = None,
        prepare: ModelRef | None = None,
        gives_up: bool = False,
    ) -> int:
        """Write the next state, and return its revision; or write it, and give the transaction up."""
        self.revision += 1
        state = self.state(champion, challenger, prepare)
        entry = Desired(command=Command.ACTIVATE, state=state, former=self.newest)
        topics = {self._settings.control_topic: to_json(state), self._settings.audit_topic: to_json(entry)}
        self._producer.begin_transaction()
        for topic, value in topics.items():
            headers = self.sign(topic, b"mnist", value)
            self._producer.produce(topic, key=b"mnist", value=value, headers=headers)
        if gives_up:
            self._producer.flush()
            self._producer.abort_transaction()
        else:
            self._producer.commit_transaction()
            self.newest = state
        return self.revision

    def state(
        self, champion: ModelRef, challenger: ModelRef | None = None, prepare: ModelRef | None = None
    ) -> DesiredState:
        return DesiredState(
            model="mnist",
            champion=champion,
            challenger=challenger,
            prepare=prepare,
            revision=self.revision,
            actor="a test",
            reason="to see what happens",
            at=now(),
        )

    def send(self, value: bytes | None, key: bytes = b"mnist", headers: SentHeaders | None = None) -> None:
        """Write anything to the control topic."""
        self._producer.begin_transaction()
        self._producer.produce(self._settings.control_topic, key=key, value=value, headers=headers or [])
        self._producer.commit_transaction()


@dataclass
class Digits:
    """MNIST's test images as PNG, each under an id of its own, and what a model says of them offline."""

    folder: Path
    pngs: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pixels: NDArray[np.uint8] = read_dataset(self.folder).test.pixels[:1000]
        for pixels in self.pixels:
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            self.pngs.append(buffer.getvalue())

    def image(self, number: int) -> SourceImage:
        return SourceImage(
            f"digit-{number}",
            self.pngs[number % len(self.pngs)],
            f"{number}.png",
            "/tests",
            "image/png",
            None,
            datetime.now(UTC),
        )

    def number(self, image_id: str) -> int:
        """Return which of `pixels` an image is."""
        return int(image_id.removeprefix("digit-")) % len(self.pngs)


class Scene:
    """One test: its repository, its operator, its workers, its images."""

    def __init__(
        self,
        settings: Settings,
        start_worker: Callable[..., Any],
        digits: Digits,
        wait_until: Callable[..., Any],
    ) -> None:
        ensure_topics(settings)
        self.settings = settings
        self.digits = digits
        self.wait_until = wait_until
        self.operator = Operator(settings)
        self.repository = Repository(settings.model_repository)
        version = self.repository.alias("mnist", CHAMPION)
        assert version is not None
        self.shipped = ModelRef(version, self.repository.manifest("mnist", version).sha256)
        self.workers: list[Any] = []
        self.sent = 0
        self._start = start_worker
        self._observer = TopicReader(settings)

    def model(self, seed: int) -> ModelRef:
        return register(self.repository, seed)

    def begin(self, **extra: Any) -> Any:
        """Start a worker."""
        worker = self._start(**extra)
        self.workers.append(worker)
        return worker

    def start(self, **extra: Any) -> Any:
        """Start a worker, and return once it reads."""
        worker = self.begin(**extra)
        worker.wait_for_line("worker is ready")
        return worker

    def publish(self, count: int) -> None:
        self.publish_all(self.digits.image(self.sent + number) for number in range(count))

    def publish_all(self, images: Iterator[SourceImage], rate: float | None = None) -> None:
        settings = self.settings
        summary = publish(images, settings.producer_config(), settings.images_topic, rate, lambda _: None)
        assert not summary.failures
        self.sent += summary.sent

    def publish_until(self, stop: threading.Event, rate: float) -> None:
        def images() -> Iterator[SourceImage]:
            number = self.sent
            while not stop.is_set():
                yield self.digits.image(number)
                number += 1

        self.publish_all(images(), rate)

    def acknowledged(self) -> int:
        return self._observer.progress(self.settings.images_topic).acknowledged

    def wait_for_images(self, count: int | None = None) -> None:
        """Wait until so many images are acknowledged, all that were sent if no number is given: while more ever are."""
        wanted = self.sent if count is None else count
        while (done := self.acknowledged()) < wanted:
            self.wait_until(
                lambda done=done: self.acknowledged() > done,
                f"more than {done} of {wanted} images",
                self._check,
            )

    def statuses(self) -> list[WorkerStatus]:
        """Return the newest status of each worker that has not taken its leave."""
        newest: dict[bytes | None, bytes | None] = {}
        for raw in self._observer.read(self.settings.status_topic):
            newest[raw.key] = raw.value
        return [parse_status(value) for value in newest.values() if value is not None]

    def wait_for_statuses(self, count: int, check: Check, what: str) -> list[WorkerStatus]:
        """Wait until so many workers say what is asked for."""

        def agreed() -> list[WorkerStatus]:
            found = [status for status in self.statuses() if check(status)]
            return found if len(found) >= count else []

        found: list[WorkerStatus] = self.wait_until(agreed, f"{what}: {self.statuses()}", self._check)
        return found

    def wait_for_status(self, check: Check, what: str) -> WorkerStatus:
        return self.wait_for_statuses(1, check, what)[0]

    def effects(self) -> list[Effective]:
        entries = [parse_audit(raw.value) for raw in self._observer.read(self.settings.audit_topic)]
        return [entry for entry in entries if isinstance(entry, Effective)]

    def close(self) -> None:
        self._observer.close()

    def _check(self) -> None:
        for worker in self.workers:
            if worker.process.returncode is None:
                worker.check()


def stored_rows(reader: KuduReader, columns: Sequence[str], table: str = "images") -> list[dict[str, Any]]:
    return [row for rows in reader.scan(table, columns) for row in rows.to_pylist()]


def signer(private: Any) -> Callable[[str, bytes, bytes], SentHeaders]:
    return lambda topic, key, value: sign(private, topic, key, value)
