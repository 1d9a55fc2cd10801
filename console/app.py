"""The console as an ASGI application: what is answered where, to whom, and what is said where something goes wrong."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from flumen.console import api, image_pages, openapi, sign_in
from flumen.console.access.gate import Gate, Visitor
from flumen.console.dead_letters.routes import dead_letter_routes
from flumen.console.errors import (
    SHOWN,
    BadQuestion,
    ConsoleError,
    NotAllowed,
    NotJson,
    NotThere,
    SwapRuns,
    TokensUnusable,
)
from flumen.console.experiments.routes import experiment_routes
from flumen.console.headers import API_ROOT, Guard
from flumen.console.live import Live
from flumen.console.models.routes import model_routes
from flumen.console.now.routes import now_routes
from flumen.console.pages import page
from flumen.console.stores import Stores
from flumen.models.errors import BadModelName, ModelError, ModelNotFound, RepositoryUnavailable, RunNotFound
from flumen.replay.errors import ReplayError
from flumen.stores.errors import NoSuchImage, StoreError, StoreRefused
from flumen.streams.errors import (
    KafkaRefused,
    KafkaUnavailable,
    NoSuchDeadLetter,
    StreamError,
    TopicMissing,
)

log = structlog.get_logger(__name__)

API = "/api/v1"
_STATIC = Path(__file__).parent / "static"
_STATUS: Sequence[tuple[type[Exception], int]] = (
    (NotJson, 415),
    (BadQuestion, 400),
    (NotAllowed, 403),
    (NoSuchImage, 404),
    (NotThere, 404),
    (NoSuchDeadLetter, 404),
    (ModelNotFound, 404),
    (RunNotFound, 404),
    (BadModelName, 400),
    (SwapRuns, 409),
    (StoreRefused, 400),
    (ReplayError, 409),
    (StoreError, 503),
    (RepositoryUnavailable, 503),
    (ModelError, 409),
    (KafkaUnavailable, 503),
    (KafkaRefused, 503),
    (TopicMissing, 503),
    (StreamError, 409),
    (ConsoleError, 500),
)

Handler = Callable[[Request, Stores, Visitor], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """Who may come in, and the names under which the console is asked: of this machine, or a proxy's."""

    gate: Gate
    hosts: Sequence[str] = ("127.0.0.1", "localhost", "::1")


def make_app(stores: Stores, options: ConsoleOptions, live: Live) -> ASGIApp:
    """Return the console over these stores. It closes their readers when it ends."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        # The first to look should not wait for Kudu's client to start.
        started = asyncio.ensure_future(stores.rows.ask(lambda rows: rows.tables()))
        started.add_done_callback(_not_yet)
        await live.collector.start()
        yield
        await live.collector.stop()
        started.cancel()
        await asyncio.to_thread(stores.models.close)
        stores.index.close()
        stores.rows.close()

    def shown(path: str, handler: Handler, *methods: str) -> Route:
        return Route(path, partial(_answer, handler, stores, options.gate), methods=methods or ("GET",))

    app = Starlette(
        routes=[
            Route("/sign-in", partial(sign_in.sign_in, options.gate), methods=["GET", "POST"]),
            Route("/sign-out", partial(sign_in.sign_out, options.gate), methods=["POST"]),
            shown("/images", image_pages.images),
            shown("/images/export", image_pages.export),
            shown("/image", image_pages.image),
            shown("/image/original", image_pages.original),
            shown("/image/view", image_pages.view),
            shown("/image/label", image_pages.label, "POST"),
            shown("/image/delete", image_pages.delete, "GET", "POST"),
            shown(f"{API}/images", api.images),
            shown(f"{API}/image", api.image),
            shown(f"{API}/image/alike", api.alike),
            shown(f"{API}/image/label", api.label, "POST"),
            shown(f"{API}/image/delete", api.delete, "POST"),
            *model_routes(shown, API),
            *experiment_routes(shown, API),
            *now_routes(shown, API, live.collector, options.gate),
            *dead_letter_routes(shown, API, live.dead_letters),
            Route(f"{API}/openapi.json", _openapi),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        exception_handlers={HTTPException: _http_error, Exception: _unforeseen},
        lifespan=lifespan,
    )
    # Around all of it: Starlette answers what nobody foresaw outside of its middleware.
    return Guard(app, options.hosts)


def _not_yet(started: "asyncio.Future[Sequence[str]]") -> None:
    if not started.cancelled() and (error := started.exception()) is not None:
        log.warning("Kudu does not answer yet", reason=str(error))


async def _answer(handler: Handler, stores: Stores, gate: Gate, request: Request) -> Response:
    visitor = None
    try:
        visitor = gate.visitor(request)
        if visitor is None:
            return _sign_in_first(request)
        return await handler(request, stores, visitor)
    except TokensUnusable as error:
        log.warning("nobody can come in", reason=str(error))
        return _error(request, None, 500, sign_in.UNUSABLE)
    except SHOWN as error:
        return _error(
            request, visitor, next(code for kind, code in _STATUS if isinstance(error, kind)), str(error)
        )


def _sign_in_first(request: Request) -> Response:
    if _is_api(request):
        text = "sign in: send a token as `Authorization: Bearer TOKEN`; `flumen console token NAME` makes one"
        return JSONResponse({"error": text}, 401, {"www-authenticate": "Bearer"})
    if request.method != "GET":
        return _error(request, None, 401, "Your session is over. Sign in, and repeat what you did.")
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(sign_in.address(back), 303)


async def _openapi(_request: Request) -> Response:
    return JSONResponse(openapi.describe(API))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    allowed = (error.headers or {}).get("Allow", "")
    said = {
        404: "There is nothing of this address. The pages begin at /images; /api/v1/openapi.json describes the API.",
        405: f"This cannot be asked for by {request.method[:20]}, only by {allowed}.",
    }
    answer = _error(request, None, error.status_code, said.get(error.status_code, error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def _unforeseen(request: Request, error: Exception) -> Response:
    log.error("a page failed", path=request.url.path, error=repr(error))
    return _error(request, None, 500, "This page failed. The console's log has the reason, and goes on.")


def _error(request: Request, visitor: Visitor | None, status: int, text: str) -> Response:
    if _is_api(request):
        return JSONResponse({"error": text}, status)
    return page(
        "error.html", visitor, status=status, title=_TITLES.get(status, "That did not work"), text=text
    )


def _is_api(request: Request) -> bool:
    return request.url.path.startswith(API_ROOT)


_TITLES = {
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    503: "A store does not answer",
}
