"""The page of now, the stream that keeps it moving, and the same as JSON."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flumen.console.access.gate import Gate, Visitor
from flumen.console.errors import ConsoleError
from flumen.console.now.collector import Collector
from flumen.console.now.moment import as_json, event
from flumen.console.now.plot import SHOWN_EVERY, draw
from flumen.console.now.shown import shown
from flumen.console.now.tables import PLOTS, TABLES
from flumen.console.now.viewers import MOST_VIEWERS, EventStream
from flumen.console.pages import page
from flumen.console.stores import Stores


class NowPages:
    """Answers with what a collector knows; `gate` says of those who look on whether they still may."""

    def __init__(self, collector: Collector, gate: Gate) -> None:
        self._collector = collector
        self._gate = gate

    async def page(self, _request: Request, _stores: Stores, visitor: Visitor) -> Response:
        """Show what is now, drawn whole: scripts only keep it moving."""
        now = self._collector.history()
        samples = now["history"]
        context: dict[str, Any] = {
            "now": now,
            "plots": [draw(plot, samples, now["swaps"]) for plot in PLOTS],
            "samples": samples[::-1][::SHOWN_EVERY],
            "tables": TABLES,
            "cell": shown,
        }
        return page("now.html", visitor, **context)

    async def api(self, _request: Request, _stores: Stores, _visitor: Visitor) -> Response:
        """Return what is now."""
        return Response(as_json(self._collector.history()), media_type="application/json")

    async def events(self, request: Request, _stores: Stores, _visitor: Visitor) -> Response:
        """Send what is now, and again at each change, until the session ends."""
        collector = self._collector
        if collector.viewers.is_full:
            return JSONResponse({"error": f"{MOST_VIEWERS} look on already, and no more can: try later"}, 503)

        def may_look_on() -> bool:
            try:
                return self._gate.visitor(request) is not None
            except ConsoleError:
                return False

        return EventStream(collector.viewers, lambda: event(collector.history()), may_look_on)
