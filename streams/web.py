"""What a worker answers over HTTP: `/metrics` for Prometheus, `/health` for whoever restarts it."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from streams.errors import BadSetting
from streams.health import Pulse
from streams.metrics import Metrics

Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], Any]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log no line for each scrape."""


@contextmanager
def serving(port: int, metrics: Metrics, pulse: Pulse) -> Iterator[None]:
    """Answer on this port, on all interfaces, for the block; port 0 is off.

    Raises:
        BadSetting: the port is taken.
    """
    if not port:
        yield
        return
    try:
        server = make_server("", port, _application(metrics, pulse), _Server, _Quiet)
    except OSError as error:
        raise BadSetting(
            f"the setting http_port is {port}, and that port is taken ({error}); set another"
        ) from error
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _application(metrics: Metrics, pulse: Pulse) -> Callable[[Environ, Start], Iterable[bytes]]:
    scrape = make_wsgi_app(metrics.registry)

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            return cast(Iterable[bytes], scrape(environ, start))
        if environ["PATH_INFO"] != "/health":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"there are /metrics and /health\n"]
        problem = pulse.problem()
        start(
            "503 Service Unavailable" if problem else "200 OK",
            [("Content-Type", "text/plain; charset=utf-8")],
        )
        return [f"{problem or 'healthy'}\n".encode()]

    return answer
