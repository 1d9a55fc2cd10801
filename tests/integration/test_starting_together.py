"""Workers that start at the same moment make the same topics, tables and index: every one of them goes on."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import requests

from flumen.interceptor import load_chain, merge_columns
from flumen.models.repository import CHAMPION, Repository
from flumen.models.shipped import seed
from flumen.stores.kudu import KuduReader, KuduSink
from flumen.stores.solr import SolrReader, SolrSink
from flumen.streams.kafka.topics import ensure_topics, existing_topics
from flumen.streams.settings import Settings

ROUNDS = (0, 2)
WORKERS = 3
COLUMNS = merge_columns(interceptor.columns for interceptor in load_chain())

pytestmark = pytest.mark.parametrize("number", ROUNDS)


def together(start: Callable[[], None], seed: int) -> None:
    """Start as many at once, a little apart from round to round; raises what one of them raises."""
    barrier, apart = Barrier(WORKERS), random.Random(seed)
    delays = [apart.uniform(0, 0.1) * seed for _ in range(WORKERS)]

    def begin(delay: float) -> None:
        barrier.wait(60)
        time.sleep(delay)
        start()

    with ThreadPoolExecutor(WORKERS) as workers:
        assert list(workers.map(begin, delays)) == [None] * WORKERS


def connected(sink: Any) -> None:
    try:
        sink.connect()
    finally:
        sink.close()


def test_topics(settings: Settings, number: int) -> None:
    together(lambda: ensure_topics(settings), number)
    assert {settings.images_topic, settings.dead_topic, settings.control_topic} <= existing_topics(settings)


def test_tables(settings: Settings, number: int) -> None:
    options = settings.kudu_options()
    together(lambda: connected(KuduSink(options, COLUMNS)), number)
    reader = KuduReader(options)
    assert reader.count() == 0
    reader.close()


def test_an_index(settings: Settings, number: int) -> None:
    options = settings.solr_options()
    together(lambda: connected(SolrSink(options, COLUMNS)), number)
    reader = SolrReader(options)
    assert reader.count() == 0
    reader.close()
    cores = requests.get(f"{settings.solr_url}/admin/cores", params={"core": options.core}, timeout=60).json()
    assert cores["initFailures"] == {}


def test_the_models_of_a_new_repository(tmp_path: Path, number: int) -> None:
    together(lambda: seed(Repository(tmp_path)), number)
    repository = Repository(tmp_path)
    versions = {name: repository.versions(name) for name in repository.names()}
    assert versions == {"mnist": [1, 2], "shapes": [1], "textures": [1]}
    assert repository.alias("mnist", CHAMPION) == 2
