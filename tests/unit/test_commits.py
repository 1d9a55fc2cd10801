"""What is still to be committed, when commits fail and partitions come and go."""

from collections.abc import Mapping

from flumen.streams.kafka.memory import MemoryConsumer, MemoryTopic
from flumen.streams.kafka.message import Partition
from flumen.streams.live.commits import Commits
from flumen.streams.live.ledger import OffsetLedger, Receipt

PARTITION: Partition = ("images", 0)


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
    commits.refused(taken.offsets)
    assert commits.uncommitted() == [PARTITION]


def test_a_refusal_for_a_partition_that_went_and_came_back_is_forgotten() -> None:
    """Another worker may have committed further meanwhile: the old position would be a step back."""
    ledger, commits = owning()
    acknowledged(ledger, commits, 9)
    taken = Taken()
    commits.commit(taken, wait=False)
    commits.forget([PARTITION])
    commits.own([PARTITION])
    commits.refused(taken.offsets)
    assert commits.uncommitted() == []
    acknowledged(ledger, commits, 19)
    commits.commit(taken, wait=False)
    assert taken.offsets == {PARTITION: 20}


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


class Taken(MemoryConsumer):
    """Remembers what it is asked to commit."""

    def __init__(self) -> None:
        super().__init__(MemoryTopic("images", 1))
        self.offsets: Mapping[Partition, int] = {}

    def commit(self, offsets: Mapping[Partition, int], *, wait: bool) -> None:
        self.offsets = offsets
