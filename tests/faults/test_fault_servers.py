"""Servers that freeze and die under a worker: it waits, stays in its group, and goes on by itself."""

import pytest
from fault_report import LONG
from fault_scene import Scene
from fault_servers import Servers, last

IMAGES = 20_000 if LONG else 3_000
FAULT_S = 20.0 if LONG else 4.0
SMALL_BATCHES = {"max_batch_size": 50}


def kill_for_a_while(scene: Scene, servers: Servers, *names: str) -> None:
    scene.publish(IMAGES, poison_every=50)
    worker = scene.start(**SMALL_BATCHES)
    scene.wait_for(1, worker)
    for name in names:
        servers.kill(name)
    last(FAULT_S)
    before = None if "kafka" in names else scene.expect_unfinished()
    servers.start_missing()
    # Only the broker knows what is acknowledged: where it was down, it is asked as soon as it is back.
    scene.recover(scene.acknowledged() if before is None else before, worker)
    scene.finish(worker)


@pytest.mark.long_form
def test_kudu_tablet_server_frozen(scene: Scene, servers: Servers) -> None:
    """SIGSTOP of Kudu's tablet server (4 s, in the long form 20 s), then SIGCONT."""
    scene.publish(IMAGES)
    worker = scene.start(**SMALL_BATCHES)
    scene.wait_for(1, worker)
    with servers.frozen("kudu-tserver"):
        last(FAULT_S)
        before = scene.expect_unfinished()
    scene.recover(before, worker)
    scene.finish(worker)


def test_kudu_and_kafka_frozen(scene: Scene, servers: Servers) -> None:
    """SIGSTOP of Kudu's tablet server and the broker until the worker lost its partitions; Kudu goes on first."""
    scene.publish(IMAGES)
    worker = scene.start(**SMALL_BATCHES)
    before = scene.wait_for(1, worker)
    with servers.frozen("kafka"):
        with servers.frozen("kudu-tserver"):
            worker.wait_for_line("partitions lost; what was in hand is delivered again")
        last(2)  # the worker writes what it holds, and has nothing to wait for when its partitions come back
    scene.recover(max(before, scene.acknowledged()), worker)
    scene.finish(worker)


@pytest.mark.long_form
def test_kudu_tablet_server_killed(scene: Scene, servers: Servers) -> None:
    """kill -9 of Kudu's tablet server; started again after 4 s, in the long form 20 s."""
    kill_for_a_while(scene, servers, "kudu-tserver")


@pytest.mark.long_form
def test_kudu_master_killed(scene: Scene, servers: Servers) -> None:
    """kill -9 of Kudu's master for 20 s. A worker that knows where the tablets are may go on without it."""
    scene.publish(IMAGES, poison_every=50)
    worker = scene.start(**SMALL_BATCHES)
    scene.wait_for(1, worker)
    servers.kill("kudu-master")
    last(FAULT_S)
    servers.start_missing()
    scene.recover(scene.acknowledged(), worker)
    scene.finish(worker)


@pytest.mark.long_form
def test_kudu_master_and_tablet_server_killed(scene: Scene, servers: Servers) -> None:
    """kill -9 of Kudu's master and, so that nobody knows where the tablets are, of its tablet server, for 20 s."""
    kill_for_a_while(scene, servers, "kudu-master", "kudu-tserver")


def test_solr_killed(scene: Scene, servers: Servers) -> None:
    """kill -9 of Solr; started again after 4 s, in the long form 20 s."""
    kill_for_a_while(scene, servers, "solr")


def test_kafka_broker_killed(scene: Scene, servers: Servers) -> None:
    """kill -9 of the only Kafka broker; started again after 4 s, in the long form 20 s."""
    kill_for_a_while(scene, servers, "kafka")
