import threading

from hypothesis import given
from hypothesis import strategies as st

from flumen.streams.live.ledger import OffsetLedger

A, B = ("images", 0), ("images", 1)


def test_a_batch_done_out_of_order_waits_for_those_before_it() -> None:
    ledger = OffsetLedger()
    first, second, third = (ledger.take({A: offset}) for offset in (9, 19, 29))
    assert ledger.acknowledge(second) == {}
    assert ledger.acknowledge(third) == {}
    assert ledger.acknowledge(first) == {A: 30}
    assert ledger.open_spans() == 0


def test_partitions_do_not_wait_for_each_other() -> None:
    ledger = OffsetLedger()
    ledger.take({A: 4})
    both = ledger.take({A: 9, B: 7})
    assert ledger.acknowledge(both) == {B: 8}


def test_a_gap_in_the_offsets_is_no_obstacle() -> None:
    ledger = OffsetLedger()
    before, behind = (
        ledger.take({A: 3}),
        ledger.take({A: 1000}),
    )  # 4 to 999: transaction markers, or compacted away
    assert ledger.acknowledge(before) == {A: 4}
    assert ledger.acknowledge(behind) == {A: 1001}


def test_bytes_are_held_until_acknowledged_even_of_forgotten_partitions() -> None:
    ledger = OffsetLedger()
    first, second = ledger.take({A: 1}, 100), ledger.take({B: 1}, 50)
    assert ledger.open_bytes() == 150
    ledger.forget([A])
    assert ledger.open_bytes() == 150
    assert not ledger.wait_until_below(50, 0)
    ledger.acknowledge(first)
    assert ledger.wait_until_below(50, 0)
    ledger.acknowledge(second)
    assert ledger.open_bytes() == 0


def test_what_was_revoked_is_never_committed() -> None:
    ledger = OffsetLedger()
    old = ledger.take({A: 9, B: 9})
    ledger.forget([A])
    assert ledger.acknowledge(old) == {B: 10}


def test_a_partition_that_comes_back_starts_anew() -> None:
    ledger = OffsetLedger()
    before = ledger.take({A: 9})
    ledger.forget([A])
    again = ledger.take({A: 4})
    assert ledger.acknowledge(before) == {}
    assert ledger.acknowledge(again) == {A: 5}


def test_waiting_ends_when_the_last_batch_is_done() -> None:
    ledger = OffsetLedger()
    spans = ledger.take({A: 9})
    assert not ledger.wait_until_done(0.001)
    assert ledger.wait_until_done(0.001, [B])
    waited: list[bool] = []
    waiting = threading.Thread(target=lambda: waited.append(ledger.wait_until_done(60, [A])))
    waiting.start()
    ledger.acknowledge(spans)
    waiting.join(60)
    assert waited == [True]


@given(
    st.lists(st.dictionaries(st.integers(0, 3), st.integers(1, 50), min_size=1), min_size=1, max_size=20),
    st.randoms(),
)
def test_a_commit_never_passes_an_open_batch(batches: list[dict[int, int]], random: "st.Random") -> None:
    ledger = OffsetLedger()
    ends: dict[tuple[str, int], int] = {}
    taken = []
    for batch in batches:
        last_offsets = {}
        for number, size in batch.items():
            partition = ("images", number)
            ends[partition] = ends.get(partition, 0) + size
            last_offsets[partition] = ends[partition] - 1
        taken.append((ledger.take(last_offsets), last_offsets))
    open_batches = list(taken)
    committed: dict[tuple[str, int], int] = {}
    while open_batches:
        spans, _ = done = random.choice(open_batches)
        open_batches.remove(done)
        for partition, offset in ledger.acknowledge(spans).items():
            assert offset > committed.get(partition, 0)
            committed[partition] = offset
            still_open = [last[partition] for _, last in open_batches if partition in last]
            assert all(offset <= last for last in still_open)
    assert committed == ends
