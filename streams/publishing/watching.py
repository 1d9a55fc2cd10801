"""Publishing what is put into a folder, until told to stop: each file once, and done when the broker has it."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Event

from flumen.streams.errors import KafkaUnavailable, PublishFailed, SourceUnreadable
from flumen.streams.publishing.publisher import ProducerConfig, publish
from flumen.streams.publishing.sources import SourceOptions, read_images
from flumen.streams.publishing.sources.files import FoundFile
from flumen.streams.publishing.sources.spool import Spool
from flumen.streams.wire import SourceImage

_ROUND_FILES = 500
"""Remembered together. A process that is killed publishes at most so many files again; they are stored once."""

_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where images go: the topic, librdkafka's settings, and at most how many a second."""

    topic: str
    producer: ProducerConfig
    rate: float | None = None


@dataclass(slots=True)
class Watched:
    """What became of what was found so far."""

    files: int = 0
    images: int = 0
    bytes: int = 0
    failed: int = 0


@dataclass(slots=True)
class _Round:
    """Which files are read to their end, and which of their images the broker has not answered for."""

    stop: Event
    told: Callable[[str], None]
    read: list[FoundFile] = field(default_factory=list)
    waiting: Counter[str] = field(default_factory=Counter)
    owners: dict[str, deque[str]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    is_cut: bool = False
    """Whether a file was left before its end. One that was sent whole is done, also where the stop comes right then."""

    def images(self, files: Sequence[FoundFile], options: SourceOptions) -> Iterator[SourceImage]:
        options = replace(options, stopped=self._stopped)
        for file in files:
            if self.stop.is_set():
                return
            for image in read_images([file], options, lambda error, file=file: self.cannot_read(file, error)):  # type: ignore[misc]
                if self._stopped():
                    return
                self.owners.setdefault(image.id, deque()).append(file.id)
                self.waiting[file.id] += 1
                yield image
            if self.is_cut:
                return
            self.read.append(file)

    def _stopped(self) -> bool:
        self.is_cut = self.is_cut or self.stop.is_set()
        return self.is_cut

    def cannot_read(self, file: FoundFile, error: SourceUnreadable) -> None:
        self.failed.add(file.id)
        self.told(str(error))

    def settle(self, image_id: str, failure: str | None) -> None:
        owners = self.owners[image_id]  # several, where an archive holds one name twice
        file_id = owners.popleft()
        if not owners:
            del self.owners[image_id]
        self.waiting[file_id] -= 1
        if failure is not None:
            self.failed.add(file_id)

    def done(self) -> list[FoundFile]:
        return [file for file in self.read if not self.waiting[file.id] and file.id not in self.failed]


def watch(
    spool: Spool,
    target: Target,
    options: SourceOptions,
    stop: Event,
    told: Callable[[str], None],
    look_every_s: float = 1.0,
) -> Watched:
    """Publish what is put into a folder, until `stop` is set. What goes wrong is told, once, and the others go on.

    A broker that is away is waited for. A file counts as published when the broker has acknowledged all of its images;
    one that cannot be read, or that the topic does not take, is tried again when it changes.

    Raises:
        TopicMissing, BadSetting: nothing can be published.
    """
    total = Watched()
    said: set[str] = set()

    def once(message: str) -> None:
        if message not in said:
            said.add(message)
            told(message)

    waiting = False
    while not stop.is_set():
        try:
            files = spool.ready(lambda error: once(str(error)))
            for start in range(0, len(files), _ROUND_FILES):
                _publish_round(
                    spool, files[start : start + _ROUND_FILES], target, options, _Round(stop, once), total
                )
                if stop.is_set():
                    break
        except (KafkaUnavailable, PublishFailed, SourceUnreadable) as error:
            if not waiting:
                told(f"{error}. Waiting for it")
            waiting = True
            stop.wait(_WAIT_S)
        else:
            waiting = False
            stop.wait(look_every_s)
    return total


def _publish_round(
    spool: Spool,
    files: Sequence[FoundFile],
    target: Target,
    options: SourceOptions,
    work: _Round,
    total: Watched,
) -> None:
    """Publish these files.

    Raises:
        KafkaUnavailable, PublishFailed: the broker is away; what it had acknowledged before is remembered.
    """
    try:
        report = publish(
            work.images(files, options),
            target.producer,
            target.topic,
            target.rate,
            lambda _: None,
            work.settle,
        )
    finally:
        done = work.done()
        spool.published(done)
        total.files += len(done)
    refused = [file for file in work.read if file.id in work.failed]
    for file in refused:
        spool.refused(file)
    for failure in report.failures:
        work.told(failure)
    total.images += report.sent
    total.bytes += report.bytes
    total.failed += len(refused)
