"""The same job in Quix Streams: its application and its batching sink, with the rows and the writer of the loop.

A checkpoint every 2,000 messages, so that a partition's part is about the 500 that the loop and the worker take.
"""

from typing import Any

from quixstreams import Application
from quixstreams.sinks import BatchingSink, SinkBatch

from bench.peers.classify import Classifier, Received
from bench.peers.task import Task, given_task, say_assigned
from bench.peers.writer import Writer

_COMMIT_EVERY = 2000
_COMMIT_INTERVAL_S = 1.0


class _Stores(BatchingSink):
    """Both stores, a partition's part of a checkpoint at a time."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._classifier = Classifier(task)
        self._writer = Writer(task)

    def write(self, batch: SinkBatch) -> None:
        received = [
            Received(item.key, item.value, dict(item.headers), batch.partition, item.offset) for item in batch
        ]
        self._writer.write(self._classifier.rows(received))


def main() -> None:
    task = given_task()
    stores = _Stores(task)
    application = Application(
        broker_address=task.kafka,
        consumer_group=task.group,
        auto_offset_reset="earliest",
        commit_every=_COMMIT_EVERY,
        commit_interval=_COMMIT_INTERVAL_S,
        auto_create_topics=False,
        loglevel="WARNING",
    )
    topic = application.topic(task.topic, key_deserializer="bytes", value_deserializer="bytes")
    application.dataframe(topic).apply(_first_seen()).sink(stores)
    application.run()


def _first_seen() -> Any:
    """Return a step that says so when the first message comes: its frame does not tell when it was assigned any."""
    unsaid = [say_assigned]

    def step(value: bytes) -> bytes:
        if unsaid:
            unsaid.pop()()
        return value

    return step


if __name__ == "__main__":
    main()
