"""Where is every published image? The stores and the dead letters, read from outside after a fault."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import requests

from flumen.stores.kudu import KuduReader
from flumen.streams.dead_letters.dead_letter import read_dead_letter
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.settings import Settings

_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Found:
    """How often each id is in Kudu, in Solr, and in the dead letters (distinct by origin, and as they were sent)."""

    kudu: Counter[str]
    solr: Counter[str]
    dead: Counter[str]
    dead_messages: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What is wrong and how much is right, as ids."""

    stored: set[str]
    dead: set[str]
    lost: set[str]
    doubled: set[str]
    foreign: set[str]
    sent_twice: int


def find(settings: Settings) -> Found:
    """Read every id from both stores and the dead letters."""
    kudu = KuduReader(settings.kudu_options())
    try:
        in_kudu = Counter(i for rows in kudu.scan("images", ["id"]) for i in rows.column("id").to_pylist())
    finally:
        kudu.close()
    observer = TopicReader(settings)
    try:
        raws = observer.read(settings.dead_topic)
        dead_letters = [(dead_letter.origin, dead_letter.key) for dead_letter in map(read_dead_letter, raws)]
    finally:
        observer.close()
    distinct = Counter(key for _origin, key in set(dead_letters))
    return Found(in_kudu, _in_solr(settings), distinct, len(dead_letters))


def judge(published: Iterable[str], found: Found) -> Audit:
    """Compare what was published with what was found."""
    ids = set(published)
    everywhere = set(found.kudu) | set(found.solr) | set(found.dead)
    stored = {i for i in ids if found.kudu[i] == found.solr[i] == 1 and not found.dead[i]}
    dead = {i for i in ids if found.dead[i] == 1 and not found.kudu[i] and not found.solr[i]}
    doubled = {
        i
        for i in everywhere
        if max(found.kudu[i], found.solr[i], found.dead[i]) > 1
        or (found.dead[i] and (found.kudu[i] or found.solr[i]))
    }
    lost = ids - stored - dead - doubled
    return Audit(
        stored, dead, lost, doubled, everywhere - ids, found.dead_messages - sum(found.dead.values())
    )


def _in_solr(settings: Settings) -> Counter[str]:
    url = f"{settings.solr_url}/{settings.solr_core}"
    with requests.Session() as session:
        session.trust_env = False
        session.get(f"{url}/update", params={"commit": "true"}, timeout=_TIMEOUT_S).raise_for_status()
        query: dict[str, str | int] = {"q": "*:*", "fl": "id", "rows": 1_000_000, "wt": "json"}
        answer = session.get(f"{url}/select", params=query, timeout=_TIMEOUT_S)
        answer.raise_for_status()
    return Counter(str(document["id"]) for document in answer.json()["response"]["docs"])
