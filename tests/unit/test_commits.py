"""What is still to be committed, when commits fail and partitions come and go."""

from confluent_kafka import KafkaError, TopicPartition

from flumen.streams.kafka.message import Partition
from flumen.streams.live.commits import Commits
from flumen.streams.live.ledger import OffsetLedger, Receipt

PARTITION: Partition = ("images", 0)
REFUSED = KafkaError(KafkaError.ILLEGAL_GENERATION)


def acknowledged(ledger: OffsetLedger, commits: Commits, last_offset: int) -> None:
    commits.acknowledge(ledger.take({PARTITION: last_offset}))


def owning() -> tuple[OffsetLedger, Commits]:
    ledger = OffsetLedger()
    commits = Commits(ledger)
    commits.own([PARTITION])
    return ledger, commits


def test_a_refused_commit_is_made_again() -> None:
    ledger, commits = owning()
    acknowledged(ledger, commits, 9)
    taken = Taken()
    commits.commit(taken, wait=False)
    assert commits.uncommitted() == []
    commits.answered(REFUSED, taken.offsets)
    assert commits.uncommitted() == [PARTITION]


def test_a_refusal_for_a_partition_that_went_and_came_back_is_forgotten() -> None:
    """Another worker may have committed further meanwhile: the old position would be a step back."""
    ledger, commits = owning()
    acknowledged(ledger, commits, 9)
    taken = Taken()
    commits.commit(taken, wait=False)
    commits.forget([PARTITION])
    commits.own([PARTITION])
    commits.answered(REFUSED, taken.offsets)
    assert commits.uncommitted() == []
    acknowledged(ledger, commits, 19)
    commits.commit(taken, wait=False)
    assert [(p.partition, p.offset) for p in taken.offsets] == [(0, 20)]


def test_what_is_done_after_its_partition_went_is_not_committed() -> None:
    """The loop has asked the ledger already when the reader's thread gives the partition up."""

    class Overtaken(OffsetLedger):
        def acknowledge(self, receipt: Receipt) -> dict[Partition, int]:
            positions = super().acknowledge(receipt)
            commits.forget([PARTITION])
            return positions

    ledger = Overtaken()
    commits = Commits(ledger)
    commits.own([PARTITION])
    acknowledged(ledger, commits, 9)
    assert commits.uncommitted() == []


class Taken:
    """Stands where a consumer does, and remembers what it is asked to commit."""

    def __init__(self) -> None:
        self.offsets: list[TopicPartition] = []

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self.offsets = offsets
