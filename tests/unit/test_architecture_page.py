"""docs/architecture.md and its picture name the files, the topics and the threads that there are."""

import re
from pathlib import Path

import pytest

from flumen.streams.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PICTURE = (ROOT / "docs" / "architecture.svg").read_text()
THREAD = re.compile(r'(?:\bthread\(|Thread\(.*\bname=|ThreadPoolExecutor\(1, )f?"([a-z-]+)')
STARTED = {
    name
    for folder in ("live", "control/worker")
    for module in (ROOT / "streams" / folder).glob("*.py")
    for name in THREAD.findall(module.read_text())
}


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([a-z_]+/[\w/]*(?:\.py)?)`", PAGE))))
def test_every_file_and_folder_that_is_named_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_threads_are_those_that_a_worker_starts() -> None:
    told = set(
        re.findall(r"`([a-z]+(?:-[a-z]+)?)`", PAGE.partition("these threads:")[2].partition("**Helper")[0])
    )
    drawn = set(re.findall(r'class="name">([a-z]+(?:-[a-z]+)?)<', PICTURE))
    others = {"control", "corrections", "http", "prepare", "reader", "shadow", "status"}
    assert others | {"intercept", "classify", "write-"} == STARTED
    each_store = {"write-kudu", "write-solr", "write-results"}
    for names in (told, drawn):
        assert (STARTED - {"write-"}) | each_store <= names


def test_the_topics_are_those_of_the_settings() -> None:
    topics = {
        field.default or name for name, field in Settings.model_fields.items() if name.endswith("_topic")
    }
    assert topics <= set(re.findall(r"`([\w.]+)`", PAGE))
    drawn = set(re.findall(r'class="topic".*\n.*class="name">([\w.]+)<', PICTURE))
    assert drawn <= topics
    assert len(drawn) == 6
