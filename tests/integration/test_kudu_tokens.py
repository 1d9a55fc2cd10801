"""A scan cut into tokens: together they give what it gives, at one moment, by as many threads as one likes."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from flumen.stores.errors import StoreError, StoreRefused
from flumen.stores.kudu import KuduOptions, KuduReader, Predicate
from flumen.stores.kudu.driver import Driver, Write, open_driver
from flumen.stores.kudu.schema import Table, TableColumn

COUNT = 5000
COLUMNS = ["id", "number"]
FULL = 1000
"""Bytes in each row, so that a token has several batches."""


@pytest.fixture
def options(kudu_options: KuduOptions) -> KuduOptions:
    return replace(kudu_options, partitions=4)


@pytest.fixture
def driver(options: KuduOptions) -> Iterator[Driver]:
    driver = open_driver(options)
    yield driver
    driver.close()


def write(driver: Driver, table: Table, numbers: range, more: int = 0) -> None:
    for start in range(numbers.start, numbers.stop, 1000):
        part = range(start, min(start + 1000, numbers.stop))
        values = [
            [f"{number:05}" for number in part],
            [number + more for number in part],
            [bytes(FULL)] * len(part),
        ]
        arrays = [pa.array(each, field.type) for each, field in zip(values, table.arrow, strict=True)]
        assert driver.apply([Write(table.name, pa.RecordBatch.from_arrays(arrays, schema=table.arrow))]) == [
            {}
        ]


@pytest.fixture
def table(driver: Driver, options: KuduOptions) -> Table:
    table = Table(
        f"{options.table_prefix}numbers",
        (
            TableColumn("id", "string", nullable=False, key=True),
            TableColumn("number", "int32"),
            TableColumn("blob", "binary"),
        ),
    )
    driver.create(table)
    write(driver, table, range(COUNT))
    return table


@pytest.fixture
def reader(options: KuduOptions) -> Iterator[KuduReader]:
    reader = KuduReader(options)
    yield reader
    reader.close()


def numbers_of(driver: Driver, table: Table, tokens: list[bytes]) -> list[int]:
    return sorted(
        number
        for token in tokens
        for rows in driver.read_token(table.name, COLUMNS, token)
        for number in rows.column("number").to_pylist()
    )


def test_tokens_give_what_the_scan_gives(driver: Driver, table: Table, options: KuduOptions) -> None:
    predicates = [Predicate("number", ">=", (7,)), Predicate("number", "<", (4000,))]
    tokens = list(driver.scan_tokens(table.name, COLUMNS, predicates))
    assert len(tokens) >= 4
    other = open_driver(options)  # a token is read by whoever has it
    assert numbers_of(other, table, tokens) == list(range(7, 4000))
    other.close()


def test_a_snapshot_is_one_moment(driver: Driver, table: Table) -> None:
    moment = time.time_ns() // 1000
    tokens = list(driver.scan_tokens(table.name, COLUMNS, (), moment))
    assert numbers_of(driver, table, tokens[:1])
    write(driver, table, range(COUNT // 2), more=100_000)
    write(driver, table, range(COUNT, COUNT + 10))
    driver.apply([Write(table.name, pa.record_batch({"id": ["04999"]}), "delete")])
    assert numbers_of(driver, table, tokens) == list(range(COUNT))
    now = [number % 100_000 for number in numbers_of(driver, table, driver.scan_tokens(table.name, COLUMNS))]
    assert sorted(now) == [*range(COUNT - 1), *range(COUNT, COUNT + 10)]


@pytest.mark.parametrize("threads", [1, 3, 50])
def test_threads_read_every_token_once(reader: KuduReader, table: Table, threads: int) -> None:
    tokens = dict(enumerate(reader.scan_tokens("numbers", COLUMNS)))
    found: dict[int, list[int]] = {number: [] for number in tokens}
    ended = set()
    for given in reader.read_tokens("numbers", COLUMNS, tokens, threads):
        assert given.token not in ended
        if given.rows is None:
            ended.add(given.token)
        else:
            found[given.token] += given.rows.column("number").to_pylist()
    assert ended == set(tokens)
    assert all(found.values())
    assert sorted(number for numbers in found.values() for number in numbers) == list(range(COUNT))


def test_nothing_to_read_is_read_at_once(reader: KuduReader, table: Table) -> None:
    assert list(reader.read_tokens("numbers", COLUMNS, {}, 4)) == []
    none = reader.scan_tokens("numbers", COLUMNS, [Predicate("number", "=", (-1,))])
    assert [each.rows for each in reader.read_tokens("numbers", COLUMNS, dict(enumerate(none)), 2)] == [
        None
    ] * len(none)


def test_threads_end_with_whoever_reads(reader: KuduReader, table: Table) -> None:
    columns = [*COLUMNS, "blob"]
    tokens = dict(enumerate(reader.scan_tokens("numbers", columns)))
    reading = reader.read_tokens("numbers", columns, tokens, 2)
    with closing(reading):
        first = next(reading)
        assert first.rows is not None
        assert np.sum(first.rows.column("blob").nbytes) > 0
    assert not [each for each in threading.enumerate() if each.name.startswith("flumen-scan")]


def test_what_a_thread_meets_is_raised(reader: KuduReader, table: Table, driver: Driver) -> None:
    with pytest.raises(StoreRefused, match="no Kudu table"):
        reader.scan_tokens("nothing", COLUMNS)
    tokens = {0: b"no token", **dict(enumerate(reader.scan_tokens("numbers", COLUMNS), 1))}
    with pytest.raises(StoreError, match="token"):
        list(reader.read_tokens("numbers", COLUMNS, tokens, 2))
    assert not [each for each in threading.enumerate() if each.name.startswith("flumen-scan")]
