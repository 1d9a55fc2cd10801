"""docs/deploy.md: the topics that it makes by hand are as a worker and the commands would make them."""

import re
import shlex
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from flumen.streams.kafka import topics
from flumen.streams.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
FUNCTION, MADE = re.findall(r"^make_topic\(\) \{\n(.*?)^\}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[0]


def config_of(words: list[str]) -> dict[str, str]:
    """Return what the options `--config NAME=VALUE` say."""
    pairs = [value for option, value in pairwise(words) if option == "--config"]
    return dict(pair.split("=") for pair in pairs)


@pytest.fixture
def by_flumen(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, tuple[int, Mapping[str, str]]]:
    """Every topic that flumen creates: its partitions, and its settings."""
    made = {}

    def note(wanted: list[topics.NewTopic], _: Settings) -> None:
        made.update({topic.topic: (topic.num_partitions, topic.config) for topic in wanted})

    monkeypatch.setattr(topics, "_create_missing", note)
    monkeypatch.setattr(topics, "_check_room_for_dead_letters", lambda *_: None)
    settings = Settings(topic_partitions=12)
    topics.ensure_topics(settings)
    topics.ensure_parked_topic(settings)
    topics.ensure_resolutions_topic(settings)
    return made


def test_the_commands_make_the_topics_that_flumen_makes(
    by_flumen: Mapping[str, tuple[int, Mapping[str, str]]],
) -> None:
    everywhere = config_of(shlex.split(FUNCTION))
    assert everywhere.pop("min.insync.replicas") == "2"
    by_hand = {}
    for line in MADE.replace("\\\n", " ").splitlines():
        _, name, *words = shlex.split(line)
        by_hand[name] = (int(words[words.index("--partitions") + 1]), everywhere | config_of(words))
    assert by_hand == by_flumen
