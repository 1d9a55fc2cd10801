"""The same job in Bytewax: its Kafka source and a sink of one partition, with the rows and the writer of the loop.

Bytewax keeps offsets in recovery stores of its own. So that it is seen as the others are, its sink commits to the
group what it has stored, as the loop does.
"""

from typing import Any

from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import cluster_main
from confluent_kafka import Consumer, TopicPartition

from bench.peers.classify import Classifier, Received
from bench.peers.task import Task, given_task, say_assigned
from bench.peers.writer import Writer

_BATCH = 500


class _Stores(StatelessSinkPartition[Any]):
    def __init__(self, task: Task) -> None:
        self._task = task
        self._classifier = Classifier(task)
        self._writer = Writer(task)
        self._offsets = Consumer({"bootstrap.servers": task.kafka, "group.id": task.group})
        self._begun = False

    def write_batch(self, items: list[KafkaSourceMessage[bytes, bytes]]) -> None:
        if not self._begun:
            self._begun = True
            say_assigned()
        received = [
            Received(item.key, item.value, dict(item.headers), item.partition or 0, item.offset or 0)
            for item in items
        ]
        self._writer.write(self._classifier.rows(received))
        last = {item.partition: item.offset + 1 for item in received}
        places = [TopicPartition(self._task.topic, *place) for place in last.items()]
        self._offsets.commit(offsets=places, asynchronous=False)


class _Sink(DynamicSink[Any]):
    def __init__(self, task: Task) -> None:
        self._task = task

    def build(self, *_: object) -> _Stores:
        return _Stores(self._task)


def main() -> None:
    task = given_task()
    flow = Dataflow("images")
    source = KafkaSource([task.kafka], [task.topic], batch_size=_BATCH)
    op.output("stores", op.input("topic", flow, source), _Sink(task))
    cluster_main(flow, [], 0, worker_count_per_proc=1)


if __name__ == "__main__":
    main()
