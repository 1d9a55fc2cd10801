"""The stores that the contract suite runs over, each as it declares itself, on the server that belongs to it."""

import importlib.util
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from flumen.interceptor.columns import Column
from flumen.stores import Reader, Sink, Store, find_store
from flumen.stores.files import FilesOptions
from flumen.stores.kudu import KuduOptions
from flumen.stores.memory import STORE as MEMORY
from flumen.stores.memory import MemoryStore
from flumen.stores.solr import SolrOptions, SolrReader


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
    settle: Callable[[], None] = lambda: None
    keeps_images: bool = True
    time_step: int = 1


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that refuses connections for as long as the test runs: it is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(params=["memory", "files", "files-remote", "solr", "kudu-jvm", "kudu-native"])
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


def _declared(
    store: Store[Any], options: Any, dead: Any, unreachable_address: str, **more: Any
) -> StoreUnderTest:
    return StoreUnderTest(
        make_sink=lambda columns: store.make_sink(options, columns),
        make_reader=lambda: store.make_reader(options),
        make_unreachable=lambda columns: store.make_sink(dead, columns),
        unreachable_address=unreachable_address,
        **more,
    )


def _memory(_request: pytest.FixtureRequest, _dead_port: int) -> StoreUnderTest:
    return _declared(MEMORY, MemoryStore(), MemoryStore(available=False), "memory store")


def _files(request: pytest.FixtureRequest, dead_port: int) -> StoreUnderTest:
    folder = request.getfixturevalue("tmp_path") / "images of ours"
    is_remote = request.node.callspec.params["store"] == "files-remote"
    options = FilesOptions(url=f"memory:/{folder}" if is_remote else str(folder))
    dead = FilesOptions(url=f"ftp://127.0.0.1:{dead_port}/images")
    return _declared(find_store("files"), options, dead, dead.url)


def _solr(request: pytest.FixtureRequest, dead_port: int) -> StoreUnderTest:
    stack, names = request.getfixturevalue("flumen_stack"), request.getfixturevalue("flumen_names")
    options = SolrOptions(url=stack.solr_url, core=names.solr_core)
    dead = replace(options, url=f"http://127.0.0.1:{dead_port}/solr")

    def settle() -> None:
        reader = SolrReader(options)
        reader.commit()
        reader.close()

    return _declared(
        find_store("solr"), options, dead, dead.url, settle=settle, keeps_images=False, time_step=1000
    )


def _kudu(request: pytest.FixtureRequest, dead_port: int) -> StoreUnderTest:
    stack, names = request.getfixturevalue("flumen_stack"), request.getfixturevalue("flumen_names")
    options = KuduOptions(
        masters=stack.kudu_masters,
        table_prefix=names.kudu_prefix,
        driver=request.node.callspec.params["store"].removeprefix("kudu-"),
        partitions=2,
    )
    dead = replace(options, masters=f"127.0.0.1:{dead_port}", timeout_s=3.0)
    return _declared(find_store("kudu"), options, dead, dead.masters)


_FRESH = {"memory": _memory, "files": _files, "solr": _solr, "kudu": _kudu}
