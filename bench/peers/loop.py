"""The hand-written loop that flumen is measured against: one thread, one batch after another, no frame.

What a good programmer writes in an afternoon with the same libraries: consume 500, decode, classify, upsert into
Kudu through the Java client, add to Solr through pysolr, commit. It runs in a process of its own.
"""

from typing import Any

from confluent_kafka import Consumer

from bench.peers.classify import Classifier, Classifies, Received
from bench.peers.task import Task, given_task, say_assigned
from bench.peers.writer import Writer

_BATCH = 500


def main() -> None:
    task = given_task()
    classifier, writer = _stages(task)
    consumer = Consumer(
        {
            "bootstrap.servers": task.kafka,
            "group.id": task.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([task.topic], on_assign=say_assigned)
    while True:
        messages = consumer.consume(_BATCH, 0.05)
        if messages:
            writer.write(classifier.rows([_received(message) for message in messages]))
            consumer.commit(asynchronous=False)


def _received(message: Any) -> Received:
    headers = dict(message.headers())
    return Received(message.key(), message.value(), headers, message.partition(), message.offset())


def _stages(task: Task) -> tuple[Classifies, Writer]:
    if not task.full:
        return Classifier(task), Writer(task)
    from bench.peers.full import FullClassifier

    full = FullClassifier(task)
    return full, Writer(task, full.columns, full.unsearched)


if __name__ == "__main__":
    main()
