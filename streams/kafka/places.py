"""Where a consumer stands in its partitions, and how much of each is not taken yet."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaException, TopicPartition

from flumen.streams.kafka.group import Places
from flumen.streams.kafka.message import Partition

_ASK_TIMEOUT_S = 0.5
_FROM_THE_START = frozenset({"earliest", "smallest", "beginning"})


@dataclass(slots=True)
class Positions:
    """Looks where a consumer stands. `config` is the consumer's; `starts` is where partitions are read from."""

    config: Mapping[str, object]
    starts: dict[Partition, int] = field(default_factory=dict)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Forget where partitions started that are another consumer's now."""
        for partition in partitions:
            self.starts.pop(partition, None)

    def look(self, consumer: Consumer, paused: Set[Partition]) -> Places:
        """Return where it stands, as far as it knows; a broker is asked once for each partition, where it begins.

        Of partitions that are paused nothing is awaited.
        """
        lag, waiting = 0, []
        for place in consumer.position(consumer.assignment()):
            known = consumer.get_watermark_offsets(place, cached=True)
            if known is None:
                continue
            at, end = place.offset, known[1]
            if at >= 0:
                lag += max(0, end - at)
            else:  # nothing was taken of it yet: it may begin with what cannot be read
                at = self._start(consumer, place, end) if end > 0 else end
            if at < end and (place.topic, place.partition) not in paused:
                waiting.append(f"{place.topic}/{place.partition}/{at}")
        return Places(lag, frozenset(waiting))

    def _start(self, consumer: Consumer, place: TopicPartition, end: int) -> int:
        """Return where a partition is read from; its end where that cannot be told now."""
        key = place.topic, place.partition
        if key not in self.starts:
            try:
                low, _ = consumer.get_watermark_offsets(place, _ASK_TIMEOUT_S)
                (done,) = consumer.committed([TopicPartition(*key)], _ASK_TIMEOUT_S)
            except KafkaException:
                return end
            reset = str(self.config.get("auto.offset.reset")) in _FROM_THE_START
            self.starts[key] = max(low, done.offset) if done.offset >= 0 or reset else end
        return self.starts[key]
