"""The setting of a benchmark: servers of its own, and the same messages for every contender."""

import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from bench.photos import source_images
from flumen.interceptor import load_chain, merge_columns
from flumen.models.repository import CHAMPION, Repository
from flumen.models.shipped import seed
from flumen.stack import local
from flumen.stack.jvm import LASTING
from flumen.stack.kudu import ask
from flumen.stack.layout import Layout
from flumen.stores.artifacts.session import open_session
from flumen.stores.kudu import KuduSink
from flumen.stores.kudu.jars import client_jars
from flumen.stores.solr import STORE as SOLR
from flumen.stores.solr import SolrSink
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import PublishReport, publish
from flumen.streams.publishing.sources import SourceOptions, find_files, read_images
from flumen.streams.settings import Settings, load_settings
from flumen.streams.wire import SourceImage

SAME_WORK = ("envelope", "decode", "classify")
"""The interceptors whose work the hand-written loop does as well."""

_LARGEST = 1024 * 1024

MOST_DIGITS = 60_000
"""That many training images there are."""

IMAGES = Path(__file__).parent.parent / "data" / "mnist" / "train-images-idx3-ubyte.gz"


@dataclass(frozen=True, slots=True)
class Setting:
    """Settings that point at the benchmark's servers; `images` messages lie in the topic."""

    settings: Settings
    images: int
    classpath: tuple[Path, ...]

    def preprocess(self) -> dict[str, Any]:
        """Return how the model reads pixels."""
        champion = Repository(self.settings.model_repository).resolve(self.settings.model_name)
        return asdict(champion.input.preprocess)

    def server_processes(self) -> dict[str, psutil.Process]:
        """Return the servers' processes by name."""
        recorded = Layout(self.settings.home.absolute()).read_state().running()
        found = {name: process.find() for name, process in recorded.items()}
        return {name: process for name, process in found.items() if process is not None}

    def photos(self, count: int) -> "Setting":
        """Return a setting beside this one: so many photos, and the model that reads them."""
        settings = self.other(images_topic="bench-photos", model_name="shapes")
        ensure_topics(settings)
        _check(
            publish(
                source_images(count), settings.producer_config(), settings.images_topic, None, lambda _: None
            ),
            count,
        )
        return replace(self, settings=settings, images=count)

    def quiet(self) -> "Setting":
        """Return a setting beside this one, with a topic that nothing lies in."""
        settings = self.other(images_topic=f"bench-{uuid4().hex[:8]}")
        ensure_topics(settings)
        return replace(self, settings=settings, images=0)

    def other(self, **changes: Any) -> Settings:
        """Return the settings, changed."""
        given: dict[str, Any] = self.settings.model_dump(include=self.settings.model_fields_set)
        return load_settings(**{**given, **changes})

    def fresh(self, interceptors: tuple[str, ...] = SAME_WORK) -> Settings:
        """Return settings for one run: a group, tables and an index that nobody has used."""
        name = uuid4().hex[:8]
        return self.other(
            group_id=f"bench-{name}",
            kudu_table_prefix=f"bench_{name}_",
            solr_core=f"bench-{name}",
            interceptors=interceptors,
        )

    def discard(self, settings: Settings) -> None:
        """Drop the tables and the index of a run, so that servers do not tidy them up beside the next one."""
        listed = ask("table", "list", settings.kudu_masters) or ""
        for table in listed.splitlines():
            if table.startswith(settings.kudu_table_prefix):
                ask("table", "delete", settings.kudu_masters, table)
        unload = {"action": "UNLOAD", "core": settings.solr_core, "deleteInstanceDir": "true"}
        with open_session(settings.solr_url) as session:
            session.get(f"{settings.solr_url}/admin/cores", params=unload, timeout=60)

    def sinks(self, settings: Settings) -> tuple[KuduSink, SolrSink]:
        """Return connected sinks, their tables and index made."""
        columns = merge_columns(interceptor.columns for interceptor in load_chain(settings.interceptors))
        kudu = KuduSink(settings.kudu_options(), columns)
        solr = SolrSink(settings.solr_options(), columns)
        kudu.connect()
        solr.connect()
        return kudu, solr


@contextmanager
def prepare(home: Path, images: int) -> Iterator[Setting]:
    """Start servers, publish the images, and take it all down at the end, also of one that SIGTERM ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    [solr_configset] = SOLR.server_files
    endpoints = local.up(home, solr_configset, jvm=LASTING)
    try:
        settings = load_settings(
            home=home,
            kafka_servers=endpoints.kafka,
            kudu_masters=endpoints.kudu_masters,
            solr_url=endpoints.solr_url,
            models_root=str(home / "models"),
        )
        repository = Repository(settings.model_repository)
        seed(repository)
        # The binarised one, of which all figures so far are: the peers read images as it does.
        repository.set_alias(settings.model_name, CHAMPION, 1)
        ensure_topics(settings)
        publish_images(settings, images)
        yield Setting(settings, images, client_jars())
    finally:
        local.down(home, purge=True)


def source_digits(images: int) -> Iterator[SourceImage]:
    """Return the first so many of the data set's training images."""
    found = find_files([IMAGES], _stop)
    return islice(read_images(found, SourceOptions(None, False, _LARGEST), _stop), images)


def publish_images(settings: Settings, images: int) -> None:
    """Publish the first so many of the data set's training images."""
    _publish(settings, source_digits(images), images)


def publish_more(settings: Settings, start: int, stop: int) -> None:
    """Publish those from `start` to `stop` of the training images again and again, each time under ids of their own."""
    digits = list(source_digits(MOST_DIGITS))
    numbers = range(start, stop)
    source = (_renamed(digits[number % MOST_DIGITS], number // MOST_DIGITS) for number in numbers)
    _publish(settings, source, len(numbers))


def _renamed(image: SourceImage, again: int) -> SourceImage:
    return replace(image, id=f"{again}/{image.id}") if again else image


def _publish(settings: Settings, source: Iterable[SourceImage], images: int) -> None:
    report = publish(source, settings.producer_config(), settings.images_topic, None, lambda _: None)
    _check(report, images)


def _check(report: PublishReport, images: int) -> None:
    if report.sent != images:
        raise SystemExit(f"only {report.sent:,} of {images:,} images were published")


def _stop(error: Exception) -> None:
    raise error
