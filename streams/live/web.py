"""What a worker answers over HTTP: `/metrics` for Prometheus, and `/live`, `/ready` and `/health` for its keepers.

One event loop in one thread serves a bounded number of connections, each for a bounded time in all. Where there are
too many, the oldest gives way: whoever sends half a request and waits keeps neither the worker's files nor its probes.

No server that is at hand does both: the standard library's takes a thread a connection and knows no time for a whole
request; waitress begins to count again with each byte, and lets new connections wait where there are too many; uvicorn
has no time for a request's head. So this reads the one thing that is asked here, a GET without a body, and closes the
connection behind each answer.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

import structlog
from prometheus_client.exposition import choose_encoder

from flumen.streams.errors import BadSetting
from flumen.streams.live.health import Pulse
from flumen.streams.live.metrics import Metrics

log = structlog.get_logger(__name__)

_ALL = "::"
_TEXT = "text/plain; charset=utf-8"
_MOST_REQUEST_BYTES = 16 * 1024
_READ_BYTES = 4096
_WAITING_CONNECTIONS = 1024
"""So many wait in the system's queue, where they cost no file of this process."""
_WITHOUT_FILES_S = 1.0


@dataclass(frozen=True, slots=True)
class WebOptions:
    """Where to answer, and within which bounds.

    `port` 0 is off. `host` is an address of this machine, or a name of one; `::` is all of them, of IPv4 as well.
    `max_connections` are served at once, each for at most `timeout_s` seconds.
    """

    port: int
    host: str = "127.0.0.1"
    max_connections: int = 32
    timeout_s: float = 10.0


@contextmanager
def serving(options: WebOptions, metrics: Metrics, pulse: Pulse) -> Iterator[None]:
    """Answer for the block.

    Raises:
        BadSetting: the port is taken, or the address is none of this machine's.
    """
    if not options.port:
        yield
        return
    with ExitStack() as stack:
        sockets = [stack.enter_context(listening) for listening in _listen(options)]
        loop = asyncio.new_event_loop()
        stack.callback(loop.close)
        serve = loop.create_task(_Server(options, metrics, pulse).serve(sockets))
        thread = threading.Thread(target=_run, args=(loop, serve), name="http", daemon=True)
        thread.start()
        log.info("answering over http", addresses=[_address(listening) for listening in sockets])
        try:
            yield
        finally:
            loop.call_soon_threadsafe(serve.cancel)
            thread.join()


def _run(loop: asyncio.AbstractEventLoop, serve: "asyncio.Task[None]") -> None:
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(serve)


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen(options: WebOptions) -> list[socket.socket]:
    """Return the sockets: one for each address of a name, and one for all of both families, where there are both."""
    dual = options.host == _ALL and socket.has_dualstack_ipv6()
    host = "0.0.0.0" if options.host == _ALL and not dual else options.host  # noqa: S104 - all was asked for
    with ExitStack() as opened:
        try:
            found = socket.getaddrinfo(host, options.port, type=socket.SOCK_STREAM)
            addresses = dict.fromkeys((family, place[:2]) for family, _, _, _, place in found)
            sockets = [
                opened.enter_context(
                    socket.create_server(
                        place, family=family, dualstack_ipv6=dual, backlog=_WAITING_CONNECTIONS
                    )
                )
                for family, place in addresses
            ]
        except OSError as error:
            reason = str(error.strerror).partition(" (while attempting")[0]
            raise BadSetting(
                f"nothing can listen where http_host and http_port say, {options.host!r} and {options.port}: "
                f"{reason}. Set a port that is free, and an address of this machine; :: is all of them"
            ) from error
        opened.pop_all()
    for listening in sockets:
        listening.setblocking(False)
    return sockets


async def _readable(listening: socket.socket) -> None:
    """Wait until there is a connection to take. `sock_accept` loses the one that it took as it was cancelled."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(listening, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(listening)


class _Server:
    """Takes connections and answers them, the oldest first to go."""

    def __init__(self, options: WebOptions, metrics: Metrics, pulse: Pulse) -> None:
        self._options = options
        self._metrics = metrics
        self._pulse = pulse
        self._connections: dict[asyncio.Task[None], None] = {}

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as group:
            for listening in sockets:
                group.create_task(self._accept(listening, group))

    async def _accept(self, listening: socket.socket, group: asyncio.TaskGroup) -> None:
        while True:
            await _readable(listening)
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                # The one that waited may be gone again, or this process has no file left to open.
                log.warning("no connection is taken over http now", reason=str(error))
                await asyncio.sleep(_WITHOUT_FILES_S)
                continue
            if len(self._connections) >= self._options.max_connections:
                oldest = next(iter(self._connections))
                self._connections.pop(oldest)
                oldest.cancel()
            task = group.create_task(self._converse(connection))
            self._connections[task] = None
            task.add_done_callback(partial(self._forget, connection))
            await asyncio.sleep(0)  # else a flood of them would leave no turn to those that are here

    def _forget(self, connection: socket.socket, conversation: asyncio.Task[None]) -> None:
        self._connections.pop(conversation, None)
        connection.close()  # also where it was cancelled before its first step

    async def _converse(self, connection: socket.socket) -> None:
        """Read one request, answer it and close."""
        loop = asyncio.get_running_loop()
        with connection, suppress(OSError, TimeoutError):
            connection.setblocking(False)
            async with asyncio.timeout(self._options.timeout_s):
                request = b""
                while b"\r\n\r\n" not in request and len(request) <= _MOST_REQUEST_BYTES:
                    received = await loop.sock_recv(connection, _READ_BYTES)
                    if not received:
                        return
                    request += received
                await loop.sock_sendall(connection, self._respond_to(request))
                connection.shutdown(socket.SHUT_WR)

    def _respond_to(self, request: bytes) -> bytes:
        try:
            return self._respond(request)
        except Exception as error:  # noqa: BLE001 - whatever a request brings about, the next one is answered
            log.warning("a request over http came to nothing", reason=f"{type(error).__name__}: {error}")
            return _response(HTTPStatus.INTERNAL_SERVER_ERROR, b"the worker's log says why\n")

    def _respond(self, request: bytes) -> bytes:
        if len(request) > _MOST_REQUEST_BYTES:
            return _response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, b"too long\n")
        first, *lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, _, target = first.partition(" ")
        if method not in ("GET", "HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, b"there is GET\n", ("Allow: GET, HEAD",))
        headers = {
            name.casefold(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        response = self._page(target.partition(" ")[0].partition("?")[0], headers.get("accept", ""))
        return response if method == "GET" else response.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    def _page(self, path: str, accept: str) -> bytes:
        match path:
            case "/metrics":
                encode, content_type = choose_encoder(accept)
                return _response(HTTPStatus.OK, encode(self._metrics.registry), content_type=content_type)
            case "/health":
                return _verdict(self._pulse.problem(), self._pulse.unready() or "healthy")
            case "/live":
                return _verdict(self._pulse.stall(), "alive")
            case "/ready":
                return _verdict(self._pulse.unready(), "ready")
        return _response(HTTPStatus.NOT_FOUND, b"there are /metrics, /live, /ready and /health\n")


def _verdict(problem: str | None, otherwise: str) -> bytes:
    status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
    return _response(status, f"{problem or otherwise}\n".encode())


def _response(
    status: HTTPStatus, body: bytes, headers: Sequence[str] = (), content_type: str = _TEXT
) -> bytes:
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
