"""A time limit for the whole of an answer: what requests calls a timeout is for each piece that comes of it."""

import io
import socket
import time
from functools import cache
from http.client import HTTPResponse
from typing import Any, cast

from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool

_LEAST_S = 0.001


class TooLate(TimeoutError):
    """An answer was not whole in time."""


class DeadlineAdapter(HTTPAdapter):
    """What a session of requests asks through: the seconds to wait for an answer are those for all of it.

    Each redirect is another answer. Raises `TooLate`, in what urllib3 and requests make of it. A request may take
    `sending_s`: urllib3 would send it within the seconds to connect.
    """

    def __init__(self, sending_s: float) -> None:
        super().__init__()
        self._sending_s = sending_s

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        """Return the connections to a server, or to the proxy that is between."""
        pool = cast(HTTPConnectionPool, super().get_connection_with_tls_context(*args, **kwargs))
        pool.ConnectionCls = _in_time(type(pool).ConnectionCls, self._sending_s)
        return pool


class _InTime(io.RawIOBase):
    """What comes through a connection within the time that it is set to wait."""

    def __init__(self, pieces: io.RawIOBase, connection: socket.socket, limit_s: float) -> None:
        self._pieces = pieces
        self._connection = connection
        self._limit_s = limit_s
        self._until = time.monotonic() + limit_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        # Zero would be no wait at all, and another error where nothing has come.
        self._connection.settimeout(max(_LEAST_S, self._until - time.monotonic()))
        try:
            count = self._pieces.readinto(buffer)
        except TimeoutError:
            count = None
        if count is None or time.monotonic() > self._until:
            raise TooLate(f"no whole answer came within {self._limit_s:g} s")
        return count

    def close(self) -> None:
        self._pieces.close()
        super().close()


class _Answer(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if (limit_s := sock.gettimeout()) is not None:
            self.fp = io.BufferedReader(_InTime(self.fp.detach(), sock, limit_s))


@cache
def _in_time(kind: type[Any], sending_s: float) -> type[Any]:
    """Return the same kind of connection, be it one through a SOCKS proxy, whose answers are in time."""

    def connect(self: Any) -> None:
        kind.connect(self)
        self.sock.settimeout(sending_s)

    def request(self: Any, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            self.timeout = sending_s
        kind.request(self, *args, **kwargs)

    return type(kind.__name__, (kind,), {"response_class": _Answer, "connect": connect, "request": request})
