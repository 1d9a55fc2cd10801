"""Workers that are killed, stopped and joined by others, under load."""

import os
import random
import signal
from typing import Any

import pytest
from fault_report import LONG
from fault_scene import Scene

IMAGES = 50_000 if LONG else 3_000
KILLS = 20 if LONG else 2
SMALL_BATCHES = {"max_batch_size": 50}


def test_worker_killed_mid_batch(scene: Scene) -> None:
    """kill -9 of the only worker, again and again, each time at a random moment of its work; another is started."""
    seed = int(os.environ.get("FLUMEN_FAULTS_SEED") or random.SystemRandom().randrange(1_000_000))
    chance = random.Random(seed)
    scene.row.name += f" ({KILLS} times, FLUMEN_FAULTS_SEED={seed})"
    scene.publish(IMAGES)
    # A random moment is a random count: spread over the work, so that no kill comes when all is done.
    share = IMAGES // (KILLS + 1)
    moments = [chance.randrange(kill * share, (kill + 1) * share) for kill in range(KILLS)]
    worker: Any = scene.start(**SMALL_BATCHES)
    for moment in moments:
        scene.wait_for(moment + 1, worker)
        worker.stop(signal.SIGKILL)
        before = scene.expect_unfinished()
        worker = scene.start(**SMALL_BATCHES)
        scene.recover(before, worker)
    scene.finish(worker)


@pytest.mark.long_form
def test_worker_stopped_mid_batch(scene: Scene) -> None:
    """SIGTERM in the middle of the work; it ends with code 0, and another is started."""
    scene.publish(IMAGES)
    first = scene.start(**SMALL_BATCHES)
    scene.wait_for(1, first)
    scene.stop(first)
    before = scene.expect_unfinished()
    second = scene.start(**SMALL_BATCHES)
    scene.recover(before, second)
    scene.finish(second)


@pytest.mark.long_form
def test_one_of_two_workers_killed_and_one_added(scene: Scene) -> None:
    """Two workers share the topic; one is killed by kill -9 under load, and a third one joins."""
    scene.publish(IMAGES, poison_every=50)
    first, second = scene.start(**SMALL_BATCHES), scene.start(**SMALL_BATCHES)
    scene.wait_for(1, first, second)
    first.stop(signal.SIGKILL)
    before = scene.expect_unfinished()
    third = scene.start(**SMALL_BATCHES)
    scene.recover(before, second, third)
    scene.finish(second, third)


@pytest.mark.long_form
def test_workers_come_and_go_under_load(scene: Scene) -> None:
    """Workers join and leave (SIGTERM) in turn while images are classified: ten rebalances."""
    scene.publish(IMAGES)
    workers = [scene.start(**SMALL_BATCHES)]
    for turn in range(5):
        workers.append(scene.start(**SMALL_BATCHES))
        scene.wait_for((turn + 1) * IMAGES // 50, *workers)
        scene.stop(workers.pop(0))
    scene.finish(*workers)
