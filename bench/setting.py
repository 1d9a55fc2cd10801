"""The setting of a benchmark: servers of its own, and the same messages for every contender."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from flumen.interceptor import load_chain, merge_columns
from flumen.models.repository import Repository
from flumen.models.shipped import seed
from flumen.stack import local
from flumen.stores.kudu import KuduSink
from flumen.stores.kudu.jars import client_jars
from flumen.stores.solr import STORE as SOLR
from flumen.stores.solr import SolrSink
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.publishing.sources import SourceOptions, find_files, read_images
from flumen.streams.settings import Settings, load_settings

SAME_WORK = ("envelope", "decode", "classify")
"""The interceptors whose work the hand-written loop does as well."""

IMAGES = Path(__file__).parent.parent / "data" / "mnist" / "train-images-idx3-ubyte.gz"


@dataclass(frozen=True, slots=True)
class Setting:
    """Settings that point at the benchmark's servers; `images` messages lie in the topic."""

    settings: Settings
    images: int
    classpath: tuple[Path, ...]

    def fresh(self, interceptors: tuple[str, ...] = SAME_WORK) -> Settings:
        """Return settings for one run: a group, tables and an index that nobody has used."""
        name = uuid4().hex[:8]
        given: dict[str, Any] = self.settings.model_dump(include=self.settings.model_fields_set)
        own = {
            "group_id": f"bench-{name}",
            "kudu_table_prefix": f"bench_{name}_",
            "solr_core": f"bench-{name}",
            "interceptors": interceptors,
        }
        return load_settings(**{**given, **own})

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
    """Start servers, publish the images, and take it all down at the end."""
    [solr_configset] = SOLR.server_files
    endpoints = local.up(home, solr_configset)
    try:
        settings = load_settings(
            home=home,
            kafka_servers=endpoints.kafka,
            kudu_masters=endpoints.kudu_masters,
            solr_url=endpoints.solr_url,
            models_root=str(home / "models"),
        )
        seed(Repository(settings.model_repository))
        ensure_topics(settings)
        publish_images(settings, images)
        yield Setting(settings, images, client_jars())
    finally:
        local.down(home, purge=True)


def publish_images(settings: Settings, images: int) -> None:
    """Publish the first so many of the data set's training images."""
    source = read_images(
        find_files([IMAGES], _stop), SourceOptions(None, False, settings.max_image_bytes), _stop
    )
    report = publish(
        islice(source, images), settings.producer_config(), settings.images_topic, None, lambda _: None
    )
    if report.sent != images:
        raise SystemExit(f"only {report.sent:,} of {images:,} images were published")


def _stop(error: Exception) -> None:
    raise error
