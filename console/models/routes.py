"""Where the pages of models are, what they are drawn with, and their part of the API."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flumen.console.models import api, pages, swap_pages
from flumen.models.reports.page import plot_style_sheet, script

Shown = Callable[..., Route]
"""Takes a path, a handler and methods; returns the route of somebody who has signed in."""

_KEPT = {"cache-control": "private, max-age=300"}


def model_routes(shown: Shown, root: str) -> list[Route]:
    """Return the routes; `root` is the API's."""
    return [
        Route("/plots.css", _style),
        Route("/plots.js", _script),
        shown("/models", pages.models),
        shown("/models/compare", pages.compare),
        shown("/models/fleet", pages.fleet),
        shown("/models/swap", swap_pages.ask),
        shown("/models/swap", swap_pages.begin, "POST"),
        shown("/models/swaps/{id}", swap_pages.follow),
        shown("/models/swaps/{id}/progress", swap_pages.progress),
        shown("/models/swaps/{id}/give-up", swap_pages.give_up, "POST"),
        shown("/models/{reference}", pages.model),
        shown("/models/{reference}/golden", pages.golden),
        shown(f"{root}/models", api.models),
        shown(f"{root}/model", api.model),
        shown(f"{root}/model/fleet", api.fleet),
        shown(f"{root}/model/trail", api.trail),
        shown(f"{root}/model/swap", api.swap),
        shown(f"{root}/model/swap", api.begin, "POST"),
    ]


async def _style(_request: Request) -> Response:
    return Response(plot_style_sheet(), 200, _KEPT, "text/css")


async def _script(_request: Request) -> Response:
    return Response(script(), 200, _KEPT, "text/javascript")
