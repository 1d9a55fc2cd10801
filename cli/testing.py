"""A real worker under a test: what the pytest plugin `flumen_worker` hands out."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flumen.cli.background import environment_of
from flumen.stores.kudu import KuduReader
from flumen.stores.solr import SolrReader
from flumen.streams.dead_letters.dead_letter import read_dead_letter
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.pipeline import Outcome
from flumen.streams.publishing.publisher import publish
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage, content_type_of

DEADLINE_S = 120.0
_POLL_S = 0.05
_SHOWN_LOG = 4000


class WorkerProcess:
    """`flumen worker` in a process of its own, with these settings and more by keyword; its log lines as dictionaries.

    `log` is added to; `command` is put in front of the worker's. Raises AssertionError where it ends early, or where it
    takes longer than `DEADLINE_S`.
    """

    def __init__(self, settings: Settings, log: Path, command: Sequence[str] = (), **extra: Any) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - this interpreter, behind what a test names
                [*command, sys.executable, "-P", "-m", "flumen", "worker"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **environment_of(settings, **extra)},
                start_new_session=True,
            )

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of its log so far."""
        complete = self.log.read_bytes().rpartition(b"\n")[0]  # the last line may be half written
        return [json.loads(line) for line in complete.decode().splitlines() if line.startswith("{")]

    def wait_for_line(self, event: str, **fields: Any) -> dict[str, Any]:
        """Wait until its log has a line of this event and with these fields, and return the line."""
        wanted = {"event": event, **fields}.items()

        def found() -> dict[str, Any] | None:
            return next((line for line in self.lines() if wanted <= line.items()), None)

        line: dict[str, Any] = wait_until(found, f"the worker's line {event!r}", self.check)
        return line

    def check(self) -> None:
        """Make sure that it runs."""
        assert self.process.poll() is None, f"the worker ended:\n{self.log.read_text()[-_SHOWN_LOG:]}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop, wait until it has, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def kill(self) -> None:
        """End it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def wait_until(probe: Callable[[], Any], what: str, check: Callable[[], None] = lambda: None) -> Any:
    """Ask until the answer is true, and return it. The deadline is far beyond what a slow machine needs.

    Raises:
        AssertionError: it never was; or what `check` raises, which is called in between.
    """
    deadline = time.monotonic() + DEADLINE_S
    while not (answer := probe()):
        check()
        assert time.monotonic() < deadline, f"waited {DEADLINE_S:.0f} s for {what}"
        time.sleep(_POLL_S)
    return answer


class FlumenWorker:
    """A worker, images for it, and what became of them. `settings` are the worker's."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings = settings
        ensure_topics(settings)
        self.process = WorkerProcess(settings, log)
        self._reader = TopicReader(settings)
        self._kudu = KuduReader(settings.kudu_options())
        self._solr = SolrReader(settings.solr_options())
        self._published: dict[str, None] = {}
        self._sent = 0

    def publish(self, *images: bytes | Path | SourceImage, known_label: int | None = None) -> list[str]:
        """Publish images, as `flumen produce` does, and return their ids.

        Of bytes the id is their SHA-256, of a file its name. `known_label` is that of all of them; a `SourceImage` has
        its own.

        Raises:
            StreamError: Kafka did not take them.
            AssertionError: it did not take one of them; says why.
        """
        sources = [_source_image(image, known_label) for image in images]
        config, topic = self.settings.producer_config(), self.settings.images_topic
        report = publish(sources, config, topic, None, lambda _: None)
        assert not report.failed, "; ".join(report.failures)
        self._sent += report.sent
        self._published |= dict.fromkeys(source.id for source in sources)
        return [source.id for source in sources]

    def wait_for(self, *ids: str) -> list[Outcome]:
        """Wait until the worker has done all that was published, and return what became of these images, or of all.

        An image that was refused has the stage and the reason of its newest dead letter.

        Raises:
            AssertionError: the worker ended, or it takes longer than `DEADLINE_S`.
        """
        wait_until(self._is_done, f"{self._sent} images to be stored or refused", self.process.check)
        raw = self._reader.read(self.settings.dead_topic)
        dead_letters = {
            dead_letter.key: dead_letter
            for dead_letter in sorted(map(read_dead_letter, raw), key=lambda each: each.failed_at)
        }
        outcomes = []
        for image_id in ids or self._published:
            dead_letter = dead_letters.get(image_id)
            refused = {"stage": dead_letter.stage, "reason": dead_letter.reason} if dead_letter else {}
            row, document = self._kudu.get(image_id), self._solr.get(image_id)
            outcomes.append(Outcome(image_id, row, document, **refused))
        return outcomes

    def close(self) -> None:
        """End the worker and let go of the servers."""
        self.process.kill()
        for each in (self._reader, self._kudu, self._solr):
            each.close()

    def _is_done(self) -> bool:
        return self._reader.progress(self.settings.images_topic).acknowledged >= self._sent


def _source_image(image: bytes | Path | SourceImage, known_label: int | None) -> SourceImage:
    if isinstance(image, SourceImage):
        return image
    content = image if isinstance(image, bytes) else image.read_bytes()
    name = image.name if isinstance(image, Path) else ""
    image_id = name or hashlib.sha256(content).hexdigest()
    return SourceImage(image_id, content, name, "", content_type_of(content), known_label, datetime.now(UTC))
