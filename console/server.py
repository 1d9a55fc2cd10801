"""The console's HTTP server: uvicorn, with bounds on how many are connected and how long a request may take to come."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 500
HEAD_WITHIN_S = 10.0
"""So long may the head of a request take to come, from the connection on, or from its first byte."""

_STOPS_WITHIN_S = 5


class BoundedProtocol(H11Protocol):
    """Ends a connection whose request does not come in time: uvicorn waits for its next byte without end."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that has only begun is waited for no longer than it may take."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._unwatch()
        elif self._deadline is None:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        self._deadline = self.loop.call_later(HEAD_WITHIN_S, self._too_late)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        # The answer before may just have ended: h11 is idle then as well, and uvicorn's own clock runs.
        if self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None:
            self.transport.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ends: Callable[[], None]) -> None:
        super().__init__(config)
        self._ends = ends

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ends()
        await super().shutdown(sockets)


def make_server(
    app: ASGIApp, *, ends: Callable[[], None] = lambda: None, most_connections: int = MOST_CONNECTIONS
) -> uvicorn.Server:
    """Return the server of an application; it answers on the sockets that its `serve` is given.

    `ends` is called as it begins to stop: it lets streams end, which would be waited for.
    """
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=most_connections,
        timeout_graceful_shutdown=_STOPS_WITHIN_S,
    )
    return _Server(config, ends)
