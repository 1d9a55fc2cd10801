"""Where the page of now is, and its part of the API."""

from collections.abc import Callable, Sequence

from starlette.routing import Route

from flumen.console.access.gate import Gate
from flumen.console.now.collector import Collector
from flumen.console.now.pages import NowPages


def now_routes(shown: Callable[..., Route], root: str, collector: Collector, gate: Gate) -> Sequence[Route]:
    """Return the routes; `root` is the API's."""
    pages = NowPages(collector, gate)
    return [
        shown("/", pages.page),
        shown("/now", pages.page),
        shown(f"{root}/now", pages.api),
        shown(f"{root}/now/events", pages.events),
    ]
