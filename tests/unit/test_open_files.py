"""No file left to open: said as what it is by whatever needed one, and never as a server that is down."""

import asyncio
import errno
import os
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from model_files import small_model

from flumen.interceptor.open_files import exhausted
from flumen.models.errors import RepositoryUnavailable
from flumen.models.repository import Repository
from flumen.models.runtime import OnnxClassifier
from flumen.models.shipped import SHIPPED
from flumen.stores import StoreUnavailable
from flumen.stores.kudu import KuduOptions
from flumen.stores.kudu.driver import check_listening, status_error
from flumen.stores.solr import SolrOptions, SolrSink
from flumen.streams.errors import KafkaUnavailable
from flumen.streams.live.health import Pulse
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.retry import Retry

WORDS = r"this process has no file or connection left to open .*ulimit -n"


@contextmanager
def files_left(count: int) -> Iterator[None]:
    """Leave so many files that this process may open, by opening all others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        highest = max(int(path.name) for path in Path("/dev/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 10, hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        opened = []
        with suppress(OSError):
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        for number in opened[:count]:
            os.close(number)
        for number in opened[count:]:
            stack.callback(os.close, number)
        yield


def reach_solr() -> None:
    SolrSink(SolrOptions(url="http://127.0.0.1:1/solr"), ()).connect()


def reach_kudu() -> None:
    check_listening(KuduOptions(masters="127.0.0.1:1"))


def read_model() -> None:
    Repository(SHIPPED).load("mnist", 1)


def load_model() -> None:
    OnnxClassifier(*small_model())


@pytest.mark.parametrize(
    ("call", "expected", "left"),
    [
        (reach_solr, StoreUnavailable, 0),
        (reach_kudu, StoreUnavailable, 0),
        (read_model, RepositoryUnavailable, 0),
        (load_model, RepositoryUnavailable, 0),
        (load_model, RepositoryUnavailable, 1),
    ],
)
def test_whatever_needs_a_file_says_that_there_is_none(
    call: Callable[[], None], expected: type[Exception], left: int
) -> None:
    with suppress(StoreUnavailable):
        call()  # what is needed once is there from now on
    with files_left(left), pytest.raises(expected, match=WORDS):
        call()


@pytest.mark.parametrize(
    "said",
    [
        OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
        "Network error: java.io.IOException: Too many open files",
        "[ONNXRuntimeError] : 1 : FAIL : Load model from the file failed:system error number 24",
        "127.0.0.1:9092/bootstrap: Failed to create socket: Too many open files (after 0ms in state INIT)",
    ],
)
def test_the_words_of_every_driver_are_known(said: OSError | str) -> None:
    assert re.match(WORDS, str(exhausted(said)))


def test_a_machine_without_files_is_told_apart_and_causes_are_looked_at() -> None:
    assert "fs.file-max" in str(exhausted(OSError(errno.ENFILE, "whatever")))
    outer = RuntimeError("the helper does not start")
    outer.__context__ = OSError(errno.EMFILE, "whatever")
    assert re.match(WORDS, str(exhausted(outer)))
    assert exhausted(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")) is None


def test_kudu_and_kafka_are_not_blamed() -> None:
    said = "Network error: Too many open files"
    assert "does not answer" not in str(status_error(said, KuduOptions(masters="master:7051")))
    assert "no Kafka broker answers" not in str(KafkaUnavailable.at("broker:9092", said))


def test_the_live_path_waits_until_there_are_files_again() -> None:
    pulse = Pulse(60)
    retry = Retry(Metrics(), pulse, first_pause_s=0.001)
    errors: list[Exception] = [OSError(errno.EMFILE, "raw"), StoreUnavailable("Too many open files")]
    seen = []

    async def call() -> str:
        if errors:
            raise errors.pop()
        seen.append(pulse.unready())
        return "done"

    assert asyncio.run(retry.until_done("kudu", call)) == "done"
    assert "waiting for kudu for 0 s (this process has no file" in str(seen)
    errors.append(OSError(errno.EACCES, "another"))
    with pytest.raises(PermissionError):
        asyncio.run(retry.until_done("kudu", call))
