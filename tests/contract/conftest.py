"""The stores that the contract suite runs over, each on the server that belongs to it."""

import importlib.util
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from flumen.interceptor.columns import Column
from flumen.stores.kudu import KuduOptions, KuduReader, KuduSink
from flumen.stores.memory import MemoryReader, MemorySink, MemoryStore
from flumen.stores.sink import Reader, Sink
from flumen.stores.solr import SolrOptions, SolrReader, SolrSink


@dataclass(frozen=True, slots=True)
class StoreUnderTest:
    """A fresh store. Sinks and readers made here are closed after the test.

    `keeps_images`: BINARY and JSON columns come back.
    `settle` makes what was written visible to `count`. `time_step` is the finest time kept, microseconds.
    """

    make_sink: Callable[[Sequence[Column]], Sink]
    make_reader: Callable[[], Reader]
    make_unreachable: Callable[[Sequence[Column]], Sink]
    unreachable_address: str
    settle: Callable[[], None]
    keeps_images: bool = True
    time_step: int = 1


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that refuses connections for as long as the test runs: it is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(params=["memory", "solr", "kudu-jvm", "kudu-native"])
def store(request: pytest.FixtureRequest, dead_port: int) -> Iterator[StoreUnderTest]:
    """Every store in turn. A Kudu driver that is not installed is skipped and named."""
    if request.param == "kudu-native" and importlib.util.find_spec("kudu") is None:
        pytest.skip("the native Kudu driver is not installed: docs/kudu.md says how")
    made: list[Any] = []

    def closing(make: Callable[..., Any]) -> Callable[..., Any]:
        def make_and_keep(*arguments: Any) -> Any:
            made.append(make(*arguments))
            return made[-1]

        return make_and_keep

    fresh = _FRESH[request.param.split("-")[0]](request, dead_port)
    yield replace(
        fresh,
        make_sink=closing(fresh.make_sink),
        make_reader=closing(fresh.make_reader),
        make_unreachable=closing(fresh.make_unreachable),
    )
    for closable in made:
        closable.close()


def _memory(_request: pytest.FixtureRequest, _dead_port: int) -> StoreUnderTest:
    memory = MemoryStore()
    return StoreUnderTest(
        make_sink=lambda columns: MemorySink(memory, columns),
        make_reader=lambda: MemoryReader(memory),
        make_unreachable=lambda columns: MemorySink(MemoryStore(available=False), columns),
        unreachable_address="memory store",
        settle=lambda: None,
    )


def _solr(request: pytest.FixtureRequest, dead_port: int) -> StoreUnderTest:
    stack, names = request.getfixturevalue("flumen_stack"), request.getfixturevalue("flumen_names")
    options = SolrOptions(url=stack.solr_url, core=names.solr_core)
    dead = replace(options, url=f"http://127.0.0.1:{dead_port}/solr")

    def settle() -> None:
        reader = SolrReader(options)
        reader.commit()
        reader.close()

    return StoreUnderTest(
        make_sink=lambda columns: SolrSink(options, columns),
        make_reader=lambda: SolrReader(options),
        make_unreachable=lambda columns: SolrSink(dead, columns),
        unreachable_address=dead.url,
        settle=settle,
        keeps_images=False,
        time_step=1000,
    )


def _kudu(request: pytest.FixtureRequest, dead_port: int) -> StoreUnderTest:
    stack, names = request.getfixturevalue("flumen_stack"), request.getfixturevalue("flumen_names")
    classpath: list[Path] = request.getfixturevalue("flumen_kudu_classpath")
    options = KuduOptions(
        masters=stack.kudu_masters,
        table_prefix=names.kudu_prefix,
        driver=request.node.callspec.params["store"].removeprefix("kudu-"),
        classpath=tuple(classpath),
        partitions=2,
    )
    dead = replace(options, masters=f"127.0.0.1:{dead_port}", timeout_s=3.0)
    return StoreUnderTest(
        make_sink=lambda columns: KuduSink(options, columns),
        make_reader=lambda: KuduReader(options),
        make_unreachable=lambda columns: KuduSink(dead, columns),
        unreachable_address=dead.masters,
        settle=lambda: None,
    )


_FRESH = {"memory": _memory, "solr": _solr, "kudu": _kudu}
