"""The worker's HTTP port: what it says, on which addresses, and that nobody can hold it up."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import requests
from clocks import Clock

from flumen.streams.errors import BadSetting
from flumen.streams.live.health import Pulse
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.web import WebOptions, serving

HALF = b"GET /metrics HTTP/1.1\r\nHost: worker\r\n"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(clock: Clock) -> Pulse:
    return Pulse(10, clock)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def address(port: int, metrics: Metrics, pulse: Pulse) -> Iterator[str]:
    with serving(WebOptions(port), metrics, pulse):
        yield f"http://127.0.0.1:{port}"


def ask(url: str) -> tuple[int, str]:
    answer = requests.get(url, timeout=60)
    return answer.status_code, answer.text.strip()


@contextmanager
def half_sent(port: int, count: int, sent: bytes = HALF) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            for _ in range(count)
        ]
        for client in clients:
            client.sendall(sent)
        yield clients


def was_closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_a_start_is_alive_and_not_ready_and_says_what_it_waits_for(
    address: str, pulse: Pulse, clock: Clock
) -> None:
    assert ask(f"{address}/live") == (200, "alive")
    assert ask(f"{address}/ready") == (503, "starting")
    assert ask(f"{address}/health") == (200, "starting")
    pulse.waits_for("kudu", "connection refused")
    clock.now = 3
    assert ask(f"{address}/ready") == (503, "starting; waiting for kudu for 3 s (connection refused)")
    assert ask(f"{address}/health")[0] == 200
    clock.now = 300
    assert ask(f"{address}/live") == (200, "alive")
    assert ask(f"{address}/health")[0] == 503
    pulse.waits_no_more("kudu")
    pulse.ready()
    assert ask(f"{address}/ready") == (200, "ready")
    assert ask(f"{address}/health") == (200, "healthy")
    pulse.waits_for("solr", "HTTP 500")
    assert ask(f"{address}/ready") == (503, "waiting for solr for 0 s (HTTP 500)")
    assert ask(f"{address}/health")[0] == 200
    pulse.waits_no_more("solr")
    pulse.observe(lag=7, open_batches=1)
    clock.now = 321
    assert ask(f"{address}/live")[0] == 503
    pulse.stopping()
    assert ask(f"{address}/ready") == (503, "stopping")


def test_metrics_as_prometheus_asks_for_them(address: str, metrics: Metrics) -> None:
    metrics.swaps.inc()
    plain = requests.get(f"{address}/metrics?x=y", timeout=60)
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert "flumen_model_swaps_total 1.0" in plain.text
    asked = {"Accept": "application/openmetrics-text; version=1.0.0"}
    assert requests.get(f"{address}/metrics", headers=asked, timeout=60).text.endswith("# EOF\n")
    assert requests.head(f"{address}/metrics", timeout=60).content == b""


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /else HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"\xff\xfe\r\n\r\n", 405),
        (b"\r\n\r\n", 405),
        (b"GET\r\n\r\n", 404),
        (b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; version=x\r\n\r\n", 500),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, 431),
    ],
)
def test_whatever_is_sent_is_answered(port: int, address: str, request_bytes: bytes, status: int) -> None:
    with half_sent(port, 1, request_bytes) as (client,):
        assert client.recv(1000).startswith(f"HTTP/1.1 {status} ".encode())
    assert ask(f"{address}/live")[0] == 200


def test_half_sent_requests_take_no_more_connections_than_allowed_and_delay_nobody(
    port: int, metrics: Metrics, pulse: Pulse, wait_until: Callable[..., Any]
) -> None:
    options = WebOptions(port, max_connections=4, timeout_s=600)
    with serving(options, metrics, pulse), half_sent(port, 300) as clients:
        wait_until(lambda: sum(map(was_closed, clients)) >= 296, "all but four to be closed")
        assert sum(map(was_closed, clients)) == 296
        assert ask(f"http://127.0.0.1:{port}/live") == (200, "alive")
        assert ask(f"http://127.0.0.1:{port}/metrics")[0] == 200


def test_a_request_has_its_time_however_slowly_it_comes(port: int, metrics: Metrics, pulse: Pulse) -> None:
    with serving(WebOptions(port, timeout_s=0.2), metrics, pulse), half_sent(port, 1) as (client,):
        client.settimeout(0.01)
        closed = False
        for _ in range(6000):  # a byte at a time never ends the time that there is
            try:
                client.sendall(b"x")
                closed = client.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                closed = True
            if closed:
                break
        assert closed


def test_who_reads_no_answer_is_left(
    port: int, metrics: Metrics, pulse: Pulse, wait_until: Callable[..., Any]
) -> None:
    for version in range(20_000):
        metrics.images.labels("mnist", version)
    with serving(WebOptions(port, timeout_s=1), metrics, pulse):
        with half_sent(port, 1, HALF + b"\r\n") as (client,):

            def unread_and_closed() -> bool:
                try:
                    client.send(b"x")
                except ConnectionError:
                    return True
                return False

            wait_until(unread_and_closed, "the connection to be closed")
        assert ask(f"http://127.0.0.1:{port}/live")[0] == 200


@pytest.mark.parametrize(
    ("host", "answering"),
    [
        ("127.0.0.1", {"127.0.0.1"}),
        ("::1", {"::1"}),
        ("0.0.0.0", {"127.0.0.1"}),
        ("::", {"127.0.0.1", "::1"}),
    ],
)
def test_it_answers_where_it_was_told_to(
    port: int, metrics: Metrics, pulse: Pulse, host: str, answering: set[str]
) -> None:
    if ":" in host and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with serving(WebOptions(port, host), metrics, pulse):
        for address in ("127.0.0.1", "::1"):
            try:
                socket.create_connection((address, port), timeout=60).close()
            except OSError:
                assert address not in answering
            else:
                assert address in answering


def test_by_default_only_this_machine_is_answered() -> None:
    assert WebOptions(9464).host == "127.0.0.1"


def test_without_a_port_nothing_listens(metrics: Metrics, pulse: Pulse) -> None:
    with serving(WebOptions(0, "nonsense"), metrics, pulse):
        pass


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_here_is_named(port: int, metrics: Metrics, pulse: Pulse, host: str) -> None:
    options = WebOptions(port, host)
    with (
        pytest.raises(BadSetting, match=rf"http_host .* '{host}' and {port}"),
        serving(options, metrics, pulse),
    ):
        pass


def test_a_port_that_is_taken_is_named(port: int, address: str, metrics: Metrics, pulse: Pulse) -> None:
    with (
        pytest.raises(BadSetting, match=r"Address already in use\. Set a port that is free"),
        serving(WebOptions(port), metrics, pulse),
    ):
        pass
