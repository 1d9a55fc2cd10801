"""Swaps while images flow through two workers: none lost, no batch mixed, every answer the named model's."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from swap_scene import Scene, stored_rows

from flumen.interceptor.preprocess import to_tensor
from flumen.stores.kudu import KuduReader
from flumen.stores.solr import SolrReader
from flumen.streams.control.records import ModelRef, WorkerState
from flumen.streams.live.concurrency import LIVE

COLUMNS = [
    "id",
    "prediction",
    "model",
    "model_version",
    "control_revision",
    "kafka_partition",
    "kafka_offset",
    "classified_at",
]
IN_BOTH = ("prediction", "model", "model_version", "control_revision")
RATE = 1000
"""Images a second: enough that every swap falls into the middle of something, and no more than any machine takes."""


IN_HAND = 2 * LIVE.batches_in_hand * 100
"""Images that two workers may have taken before a swap and not finished."""

SHORT = 6
LONG = 30


@contextmanager
def load(scene: Scene, rate: float = RATE) -> Iterator[None]:
    """Publish images for the block, at a steady rate a second."""
    stop = threading.Event()
    publisher = threading.Thread(target=scene.publish_until, args=(stop, rate))
    publisher.start()
    try:
        yield
    finally:
        stop.set()
        publisher.join()


def swap(scene: Scene, former: ModelRef, champion: ModelRef, workers: int) -> int:
    """Swap in two phases, and return the revision of the new champion."""
    revision = scene.operator.write(former, prepare=champion)
    scene.wait_for_statuses(
        workers,
        lambda status: status.prepared == champion and status.state is WorkerState.READY,
        f"{workers} workers ready at revision {revision}",
    )
    revision = scene.operator.write(champion)
    scene.wait_for_statuses(
        workers,
        lambda status: status.champion == champion and status.revision == revision,
        f"{workers} workers at revision {revision}",
    )
    return revision


def check_rows(scene: Scene, kudu: KuduReader, champions: Mapping[int, ModelRef]) -> list[dict[str, Any]]:
    """Check every row against what was sent, the model it names, and its document. `champions`: by revision."""
    rows = stored_rows(kudu, COLUMNS)
    assert documents(scene) == {row["id"]: tuple(row[name] for name in IN_BOTH) for row in rows}
    assert sorted(row["id"] for row in rows) == sorted(f"digit-{number}" for number in range(scene.sent))
    offline = _offline(scene, set(champions.values()))
    batches: dict[tuple[int, Any], set[int]] = defaultdict(set)
    for row in rows:
        assert row["model_version"] == champions[row["control_revision"]].version
        assert row["prediction"] == offline[row["model_version"]][scene.digits.number(row["id"])]
        batches[row["kafka_partition"], row["classified_at"]].add(row["control_revision"])
    assert all(len(revisions) == 1 for revisions in batches.values()), "a mixed batch"
    assert all(row["probabilities"] for row in stored_rows(kudu, ["id", "probabilities"]))
    return rows


def documents(scene: Scene) -> dict[str, tuple[Any, ...]]:
    """Return what Solr says of every image, by id; each is there once, for an id is its key."""
    solr = SolrReader(scene.settings.solr_options())
    solr.commit()
    found: dict[str, tuple[Any, ...]] = {}
    while page := solr.search(rows=5000, start=len(found)):
        found |= {row["id"]: tuple(row[name] for name in IN_BOTH) for row in page}
    solr.close()
    return found


def never_goes_back(rows: Sequence[Mapping[str, Any]]) -> None:
    """In each partition the revision only rises with the offset, as long as it has one owner."""
    newest: dict[int, int] = defaultdict(int)
    for row in sorted(rows, key=lambda row: int(row["kafka_offset"])):
        assert row["control_revision"] >= newest[row["kafka_partition"]]
        newest[row["kafka_partition"]] = row["control_revision"]


def _offline(scene: Scene, refs: set[ModelRef]) -> dict[int, Any]:
    """Return what each model says of each of the digits."""
    answers = {}
    for ref in refs:
        model = scene.repository.load("mnist", ref.version, sha256=ref.sha256)
        tensor = to_tensor(scene.digits.pixels, model.preprocess)
        answers[ref.version] = model.probabilities(tensor).argmax(axis=1)
    spread = [
        np.mean(one != other) for one in answers.values() for other in answers.values() if one is not other
    ]
    assert all(share > 0.5 for share in spread), "these models could not be told apart"
    return answers


@pytest.mark.parametrize("swaps", [SHORT, pytest.param(LONG, marks=pytest.mark.long_form)])
def test_swaps_under_load(scene: Scene, kudu: KuduReader, swaps: int) -> None:
    """One after another, each after so many images that some were taken on the model before."""
    models = [scene.shipped, scene.model(2), scene.model(3)]
    workers = [scene.start(max_batch_size=100), scene.start(max_batch_size=100)]
    for worker in workers:
        worker.wait_for_line("partitions assigned")
    champions, between = {0: scene.shipped}, IN_HAND + RATE // (5 if swaps == SHORT else 1)
    with load(scene):
        scene.wait_for_images(1)
        for number in range(swaps):
            former, champion = models[number % 3], models[(number + 1) % 3]
            revision = swap(scene, former, champion, len(workers))
            champions |= {revision - 1: former, revision: champion}
            scene.wait_for_images(scene.acknowledged() + between)
    scene.wait_for_images()
    rows = check_rows(scene, kudu, champions)
    never_goes_back(rows)
    assert {row["control_revision"] for row in rows} >= set(range(2, 2 * swaps + 1, 2)), (
        "each champion had images"
    )
    assert [worker.stop() for worker in workers] == [0, 0]
    effects = scene.effects()
    assert {effect.revision for effect in effects} >= set(range(2, 2 * swaps + 1, 2))
    assert all(effect.champion == champions[effect.revision] for effect in effects)


def test_a_worker_joins_in_the_middle_of_a_swap_and_one_is_killed(scene: Scene, kudu: KuduReader) -> None:
    """The one that joins serves the old champion, prepares the new one, and swaps with the other.

    Where one is killed between prepare and activate, the other takes its images over and the champion with them.
    """
    second, third = scene.model(2), scene.model(3)
    first = scene.start(max_batch_size=100)
    with load(scene, RATE / 10):  # for as long as a worker takes to start
        scene.wait_for_images(1)
        scene.operator.write(scene.shipped, prepare=second)
        scene.wait_for_status(lambda status: status.prepared == second, "the first one ready")
        joined = scene.start(max_batch_size=100)
        ready = scene.wait_for_statuses(2, lambda status: status.prepared == second, "both ready")
        assert {status.champion for status in ready} == {scene.shipped}
        joined.wait_for_line("partitions assigned")
        scene.operator.write(second)
        scene.wait_for_statuses(2, lambda status: status.champion == second, "both swapped")
        scene.wait_for_images(scene.acknowledged() + IN_HAND)
        scene.operator.write(second, prepare=third)
        scene.wait_for_statuses(2, lambda status: status.prepared == third, "both ready again")
        joined.process.kill()
        joined.process.wait()
        scene.operator.write(third)
        scene.wait_for_status(lambda status: status.champion == third, "the survivor's new champion")
    scene.wait_for_images()
    champions = {0: scene.shipped, 1: scene.shipped, 2: second, 3: second, 4: third}
    rows = check_rows(scene, kudu, champions)
    assert {row["control_revision"] for row in rows} >= {1, 2, 4}
    assert first.stop() == 0
    (left,) = scene.statuses()
    assert (left.champion, left.prepared) == (second, third), "the last that the killed one said"
