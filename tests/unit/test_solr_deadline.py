"""A server that sends a little now and then is not waited for longer than one that sends nothing."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from certificates import Authority
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from flumen.stores.errors import StoreUnavailable
from flumen.stores.solr import SolrOptions, SolrReader, SolrSink
from flumen.stores.solr.deadline import DeadlineAdapter
from flumen.stores.solr.server import ErrorResponse, SolrServer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ANSWER = b'{"responseHeader": {}, "response": {"numFound": 7, "start": 0, "docs": []}}'
FULL = HEAD + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER
PIECES = 1500
"""Of an answer that is not at its end when the time is up; and yet it ends, so that a fault does not hang the test."""

WITHOUT_END = {
    "the status": [b"HTTP/1.1 200 ", *[b"O"] * PIECES],
    "a header": [HEAD + b"X-Name: ", *[b"a"] * PIECES],
    "headers": [HEAD, *[b"X: y\r\n"] * 90, *[b"Z"] * PIECES],
    "go on, and no answer": [b"HTTP/1.1 100 Continue\r\n\r\n"] * PIECES,
    "a body of a known length": [HEAD + b"Content-Length: 100000\r\n\r\n", *[b" "] * PIECES],
    "a body in chunks": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\n \r\n"] * PIECES],
    "a body until the connection ends": [HEAD + b"\r\n", *[b" "] * PIECES],
}


@contextmanager
def dripping(pieces: list[bytes], certificate: Path | None = None) -> Iterator[int]:
    """Answer every connection with these pieces, one in 10 ms; yield the port."""
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), connection if certificate is None else tls(connection, certificate) as spoken:
            spoken.recv(65536)
            for piece in pieces:
                if over.wait(0.01):
                    return
                spoken.sendall(piece)

    def tls(connection: socket.socket, certificate: Path) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        with connection:  # detached where it succeeds
            return context.wrap_socket(connection, server_side=True)

    def accept(listener: socket.socket, threads: list[threading.Thread]) -> None:
        with suppress(OSError):
            while True:
                threads.append(threading.Thread(target=answer, args=(listener.accept()[0],)))
                threads[-1].start()

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, args=(listener, threads))
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()


@pytest.fixture
def drip() -> Iterator[Callable[..., int]]:
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(dripping(*arguments))


@pytest.mark.parametrize("pieces", WITHOUT_END.values(), ids=WITHOUT_END)
def test_an_answer_without_an_end_is_given_up_in_time(pieces: list[bytes], drip: Callable[..., int]) -> None:
    options = SolrOptions(url=f"http://127.0.0.1:{drip(pieces)}/solr", timeout_s=0.3)
    for ask in (SolrReader(options).count, SolrSink(options, []).connect):  # by pysolr, and without it
        with pytest.raises(StoreUnavailable, match=r"no whole answer came within 0\.3 s") as caught:
            ask()
        assert "raise FLUMEN_SOLR_TIMEOUT_S" in str(caught.value)


def test_so_is_a_file_of_it_and_one_behind_tls(drip: Callable[..., int], tmp_path: Path) -> None:
    authority = Authority.make()
    port = drip(WITHOUT_END["a body of a known length"], authority.sign("127.0.0.1", tmp_path / "solr.pem"))
    file = authority.save(tmp_path / "authority.pem")
    server = SolrServer(SolrOptions(url=f"https://127.0.0.1:{port}/solr", timeout_s=0.3, ca_file=file))
    for answer in (server.read_file("schema.xml"), server.ask(f"{server.index_url}/select")):
        assert isinstance(answer, ErrorResponse)
        assert "no whole answer came within 0.3 s" in str(server.store_error(answer))
    server.close()


def test_and_one_by_a_proxy(drip: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{drip(WITHOUT_END['headers'])}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    reader = SolrReader(SolrOptions(url="https://solr.example:8984/solr", timeout_s=0.3))
    with pytest.raises(StoreUnavailable, match=r"no whole answer .* of HTTPS_PROXY"):
        reader.count()
    reader.close()


class ByOtherWays(HTTPConnection):
    """As with a SOCKS proxy: it is made with what no other kind of connection takes."""

    def __init__(self, *arguments: Any, _way: str, **more: Any) -> None:
        super().__init__(*arguments, **more)


class PoolByOtherWays(HTTPConnectionPool):
    ConnectionCls = ByOtherWays

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more, _way="round")


def test_and_one_by_a_connection_of_another_kind(
    drip: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(urllib3.poolmanager.pool_classes_by_scheme, "http", PoolByOtherWays)
    port = drip(WITHOUT_END["headers"])
    reader = SolrReader(SolrOptions(url=f"http://127.0.0.1:{port}/solr", timeout_s=0.3))
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"no whole answer came within 0\.3 s"):
            reader.count()
    reader.close()


def test_a_request_may_take_longer_than_connecting() -> None:
    """A server takes in a large batch as it gets on with it."""
    body, connecting_s = bytes(16 * 1024 * 1024), 0.2

    def take_in_late(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as request:
            for _ in range(2):
                assert not over.wait(3 * connecting_s)
                while request.readline() != b"\r\n":
                    pass
                request.read(len(body))
                connection.sendall(FULL)

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, requests.Session() as session:
        session.mount("http://", DeadlineAdapter(sending_s=60))
        serving = threading.Thread(target=take_in_late, args=(listener,))
        serving.start()
        try:
            for _ in ("a connection that is new", "and one that is there"):
                url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                assert session.post(url, data=body, timeout=(connecting_s, 60)).content == ANSWER
        finally:
            over.set()
            serving.join()


def test_an_answer_in_small_pieces_is_an_answer(drip: Callable[..., int]) -> None:
    pieces = [FULL[at : at + 5] for at in range(0, len(FULL), 5)]
    reader = SolrReader(SolrOptions(url=f"http://127.0.0.1:{drip(pieces)}/solr", timeout_s=60))
    assert reader.count() == 7
    reader.close()
