"""One fault's scene: images published, workers at work, and the audit behind it."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

import pytest
from fault_audit import Audit, find, judge
from fault_report import Row
from PIL import Image

from flumen.models.datasets.idx import read_idx
from flumen.stack.layout import Endpoints
from flumen.streams.errors import KafkaUnavailable
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

POISON = b"this is no image"
_DIFFERENT_DIGITS = 1000
_TIMEOUT_S = 150.0
"""Without any progress. Far beyond what a slow machine needs: for a start, a session timeout, the longest pause."""
_LOOK_EVERY_S = 0.05
_AUDIT_S = 60.0


@dataclass(slots=True)
class Scene:
    """What a test works with. `start(**settings)` starts a worker; `row` is the test's row in the report."""

    settings: Settings
    start: Callable[..., Any]
    row: Row
    mnist: Path
    published: list[str] = field(default_factory=list)
    poisoned: set[str] = field(default_factory=set)

    def publish(self, count: int, poison_every: int | None = None) -> None:
        """Publish so many images with new ids; one in `poison_every` is none."""
        ensure_topics(self.settings)
        self.publish_without_topics(count, poison_every)

    def publish_without_topics(self, count: int, poison_every: int | None = None) -> None:
        """Publish, and create no topic that is missing."""
        first = len(self.published)
        self.published += [f"image-{number:06d}" for number in range(first, first + count)]
        if poison_every:
            self.poisoned |= set(self.published[first::poison_every])
        self._send(first)

    def publish_again(self) -> None:
        """Publish everything once more, under the same ids."""
        self._send(0)

    def _send(self, first: int) -> None:
        report = publish(
            self._images(first), self.settings.producer_config(), self.settings.images_topic, None, _unheard
        )
        assert report.sent == len(self.published) - first

    def impossible(self, reason: str) -> NoReturn:
        """Say in the report that this machine does not allow the fault."""
        self.row.result = f"not possible here: {reason}"
        pytest.skip(reason)

    def forget_published(self) -> None:
        """Leave what was published so far out of the audit."""
        self.published.clear()
        self.poisoned.clear()

    def move_to(self, endpoints: Endpoints) -> None:
        """Use other servers than the test's own."""
        addresses = asdict(endpoints)
        addresses["kafka_servers"] = addresses.pop("kafka")
        self.settings = self.settings.model_copy(update=addresses)
        self.start = functools.partial(self.start, **addresses)

    def acknowledged(self, group_id: str | None = None) -> int:
        """Return how many messages the group has acknowledged; -1 while no broker answers."""
        settings = self.settings.model_copy(update={"group_id": group_id} if group_id else {})
        observer = TopicReader(settings)
        try:
            return observer.progress(settings.images_topic).acknowledged
        except KafkaUnavailable:
            return -1
        finally:
            observer.close()

    def wait_for(self, count: int, *workers: Any, group_id: str | None = None) -> int:
        """Wait until so many are acknowledged, as long as it goes on; return how many are.

        Fails where a worker ends.
        """
        best, seen_at = -1, time.monotonic()
        while (now := self.acknowledged(group_id)) < count:
            for worker in workers:
                worker.check()
            if now > best:
                best, seen_at = now, time.monotonic()
            if time.monotonic() - seen_at > _TIMEOUT_S:
                pytest.fail(
                    f"{best} of {count} acknowledged, and no progress for {_TIMEOUT_S:.0f} s: {_tails(workers)}"
                )
            time.sleep(_LOOK_EVERY_S)
        return now

    def expect_unfinished(self) -> int:
        """Return how many are acknowledged; all of them would make the fault come too late to say anything."""
        now = self.acknowledged()
        assert now < len(self.published), "the fault came when everything was done"
        return now

    def recover(self, before: int, *workers: Any) -> None:
        """Note how long it takes from now until more than `before`, or all, is acknowledged."""
        ended_at = time.monotonic()
        self.wait_for(min(before + 1, len(self.published)), *workers)
        self.row.recoveries.append(time.monotonic() - ended_at)

    def stop(self, worker: Any) -> None:
        """Ask a worker to stop, by SIGTERM; it finishes what it holds and ends well."""
        worker.wait_for_line("worker is ready")  # one that is still starting ends by the signal itself
        assert worker.stop() == 0, _tails([worker])

    def finish(self, *workers: Any, group_id: str | None = None, total: int | None = None) -> None:
        """Wait until all is acknowledged, stop the workers, audit, and fill the row.

        Each has to be exactly where it belongs.
        """
        self.wait_for(len(self.published) if total is None else total, *workers, group_id=group_id)
        for worker in workers:
            self.stop(worker)
        audit = self._audit()
        row = self.row
        row.images, row.stored, row.dead = len(self.published), len(audit.stored), len(audit.dead)
        row.lost, row.doubled, row.sent_twice = len(audit.lost), len(audit.doubled), audit.sent_twice
        good = not audit.lost and not audit.doubled and not audit.foreign and audit.dead == self.poisoned
        row.result = "passed" if good else "FAILED"
        assert not audit.lost, f"lost: {sorted(audit.lost)[:10]}"
        assert not audit.doubled, f"doubled: {sorted(audit.doubled)[:10]}"
        assert not audit.foreign, f"never published: {sorted(audit.foreign)[:10]}"
        assert audit.dead == self.poisoned

    def _audit(self) -> Audit:
        """Audit; a Solr that was killed goes on replaying its log for a while after it answers."""
        deadline = time.monotonic() + _AUDIT_S
        audit = judge(self.published, find(self.settings))
        while audit.lost and time.monotonic() < deadline:
            time.sleep(1)
            audit = judge(self.published, find(self.settings))
        return audit

    def _images(self, first: int) -> Iterator[SourceImage]:
        digits = _digits(self.mnist)
        now = datetime.now(UTC)
        for number, image_id in enumerate(self.published[first:], first):
            content = POISON if image_id in self.poisoned else digits[number % len(digits)]
            yield SourceImage(image_id, content, f"{image_id}.png", "/faults", "image/png", None, now)


@functools.cache
def _digits(mnist: Path) -> list[bytes]:
    return [_png(pixels) for pixels in read_idx(mnist / "t10k-images-idx3-ubyte.gz")[:_DIFFERENT_DIGITS]]


def _png(pixels: Any) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _tails(workers: Sequence[Any]) -> str:
    return "\n".join(worker.log.read_text()[-3000:] for worker in workers)


def _unheard(_settled: int) -> None:
    return None
