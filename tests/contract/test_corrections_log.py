"""What every log of corrections promises, and what is computed from one."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flumen.stores import StoreClosed, StoreRefused
from flumen.stores.corrections import Correction, CorrectionLog, CurrentCorrections, Standing
from flumen.stores.kudu import KuduCorrections, KuduOptions
from flumen.stores.kudu.corrections import corrections_table
from flumen.stores.kudu.driver import Write, open_driver
from flumen.stores.kudu.rows import build
from flumen.stores.kudu.schema import Table
from flumen.stores.memory import MemoryCorrections, MemoryStore


def label(image_id: str, number: int | None = 7, **more: Any) -> Correction:
    return Correction(image_id, "label", "me@here", 1_700_000_000_000_000, "it is", number, **more)


def deletion(image_id: str) -> Correction:
    return Correction(image_id, "delete", "me@here", 1_700_000_000_000_001)


@pytest.fixture(params=["memory", "kudu"])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[[], CorrectionLog]]:
    """Makes logs of one table."""
    made: list[CorrectionLog] = []
    if request.param == "memory":
        store = MemoryStore()
        new: Callable[[], CorrectionLog] = lambda: MemoryCorrections(store)  # noqa: E731
    else:
        stack, names = request.getfixturevalue("flumen_stack"), request.getfixturevalue("flumen_names")
        options = KuduOptions(masters=stack.kudu_masters, table_prefix=names.kudu_prefix, partitions=2)
        new = lambda: KuduCorrections(options)  # noqa: E731

    def connected() -> CorrectionLog:
        log = new()
        made.append(log)
        log.connect()
        return log

    yield connected
    for each in made:
        each.close()
        each.close()


def test_a_log_gives_back_what_was_appended_in_one_order(make: Callable[[], CorrectionLog]) -> None:
    log, other = make(), make()
    assert list(log.read_from(1)) == []
    odd = label("caf\u00e9 \x00<script>", None, done_at=5)
    first = log.append([odd, label("b")])
    assert [each.sequence for each in first] == [1, 2]
    assert list(other.read_from(1)) == list(first) == [replace(odd, sequence=1), label("b", sequence=2)]
    assert list(other.read_from(3)) == []
    # More than are asked for one by one, and more than go into one flush.
    many = other.append([label(f"image {number}", number) for number in range(1200)])
    assert [each.sequence for each in many] == list(range(3, 1203))
    assert list(log.read_from(3)) == list(many)
    assert list(log.read_from(1202)) == [many[-1]]
    assert list(log.read_from(1203)) == []
    assert list(make().read_from(1)) == [*first, *many]
    log.append([deletion("b")])
    assert [each.kind for each in other.of_images({"b", "nobody's"})] == ["label", "delete"]
    assert [each.sequence for each in other.unfinished()] == list(range(2, 1204))
    other.mark_done(many, 9)
    assert [each.sequence for each in log.unfinished()] == [2, 1203]
    assert next(iter(log.read_from(1))) == first[0]
    assert list(log.read_from(2))[1] == replace(many[0], done_at=9)
    other.erase(log.of_images({"b"})[:1])
    assert next(iter(log.read_from(2))) == Correction("b", "erased", "", first[1].corrected_at, sequence=2)


def test_a_log_is_closed_before_it_is_connected_and_after_it_was(make: Callable[[], CorrectionLog]) -> None:
    log = make()
    log.close()
    with pytest.raises(StoreClosed):
        list(log.read_from(1))
    with pytest.raises(StoreClosed):
        log.append([label("a")])


def test_who_append_at_the_same_time_leave_no_gap_and_lose_nothing(make: Callable[[], CorrectionLog]) -> None:
    """The rule that the worker's one question relies on: where a number is missing, no later one is there."""

    def append(who: int) -> list[int]:
        log = make()
        numbers = []
        for turn in range(10):
            given = log.append([label(f"{who} {turn} {each}") for each in range(1 + 20 * (turn == 5))])
            numbers += [each.sequence for each in given]
            seen = list(log.read_from(1))
            assert [each.sequence for each in seen] == list(range(1, len(seen) + 1))
            assert {each.sequence for each in given} <= {each.sequence for each in seen}
        return numbers

    with ThreadPoolExecutor(3) as threads:
        numbers = [number for each in threads.map(append, range(3)) for number in each]
    # Whoever finds a number missing that another inserts at that moment may have given it to nothing.
    there = {each.sequence: each.id for each in make().read_from(1)}
    assert list(there) == list(range(1, len(there) + 1))
    assert len({there[number] for number in numbers}) == len(numbers) == 90
    assert {there[number] for number in there.keys() - set(numbers)} <= {""}


def test_kudu_refuses_what_it_cannot_keep_and_stores_nothing_of_it(
    flumen_stack: Any, flumen_names: Any
) -> None:
    options = KuduOptions(
        masters=flumen_stack.kudu_masters, table_prefix=flumen_names.kudu_prefix, partitions=2
    )
    log = KuduCorrections(options)
    log.connect()
    with pytest.raises(StoreRefused, match="cannot be written"):
        log.append([label("good"), label("a lone surrogate \udcff")])
    assert list(log.read_from(1)) == []
    log.close()


def test_what_an_append_left_behind_a_gap_comes_before_what_is_said_later(
    flumen_stack: Any, flumen_names: Any
) -> None:
    """Its numbers go to several tablets: one that is down, or a kill between two of them, leaves some out."""
    options = KuduOptions(
        masters=flumen_stack.kudu_masters, table_prefix=flumen_names.kudu_prefix, partitions=2
    )
    with closing(KuduCorrections(options)) as log, closing(open_driver(options)) as driver:
        log.connect()
        log.append([label("a", 1)])
        left = [deletion("b"), label("a", 2), deletion("c")]
        rows = _rows(corrections_table(options.table_prefix), left, (3, 5, 1_200))
        driver.apply([Write(f"{options.table_prefix}corrections", rows, "insert")])
        current = CurrentCorrections(log)
        current.connect()
        assert current.look("abc") == {"a": Standing(deleted=False, knownlabel=1)}
        (last,) = log.append([label("a", 3)])
        assert last.sequence == 1_201
        assert current.look("abc") == {
            "a": Standing(deleted=False, knownlabel=3),
            "b": Standing(deleted=True),
            "c": Standing(deleted=True),
        }
        assert [each.id for each in log.unfinished()] == ["a", "b", "a", "c", "a"]
        assert current.look([""]) == {}


def _rows(table: Table, corrections: Sequence[Correction], numbers: Sequence[int]) -> pa.RecordBatch:
    columns = {field.name: [getattr(each, field.name, 1) for each in corrections] for field in table.arrow}
    rows, refused = build(table, columns | {"sequence": [f"{each:016}" for each in numbers]}, len(numbers))
    assert not refused
    return rows


_CHANGES = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.sampled_from(["label", "delete", "restore", "erased", "of tomorrow"])
    )
)


@given(st.lists(_CHANGES, max_size=5))
def test_what_holds_is_what_was_said_last(rounds: list[list[tuple[str, str]]]) -> None:
    store = MemoryStore()
    log = MemoryCorrections(store)
    current = CurrentCorrections(log)
    current.connect()
    expected: dict[str, Standing] = {}
    for changes in rounds:
        for number, (image_id, kind) in enumerate(changes):
            log.append([Correction(image_id, kind, "me", 1, knownlabel=number)])
            if kind in ("label", "delete"):
                expected[image_id] = (
                    Standing(deleted=True) if kind == "delete" else Standing(deleted=False, knownlabel=number)
                )
            elif kind == "restore":
                expected.pop(image_id, None)
        assert current.look(iter("abcd")) == expected
        late = CurrentCorrections(MemoryCorrections(store))
        late.connect()
        assert late.look({"a"}) == {key: value for key, value in expected.items() if key == "a"}
