"""The JSON API, version 1: what the pages of images use, for programs. `flumen.console.openapi` describes it."""

import json
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flumen.console.access.gate import Visitor
from flumen.console.forms import read_change, text_of
from flumen.console.images import changing
from flumen.console.images.alike import find_like
from flumen.console.images.asked import read_id, read_view
from flumen.console.images.finding import find_page
from flumen.console.images.one import Answer, see
from flumen.console.stores import Stores
from flumen.stores.corrections import Correction


class Answered(JSONResponse):
    """JSON; what is no number is null, and half a character, which Kafka may have brought, is written as such."""

    def render(self, content: Any) -> bytes:
        """Write an answer."""
        try:
            return orjson.dumps(content)
        except TypeError:
            return json.dumps(content).encode()


async def images(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Find images."""
    found = await find_page(stores, read_view(request.query_params))
    facets = {
        facet.name: [{"value": value, "count": count} for value, count in facet.values]
        for facet in found.facets
    }
    ranges = {
        spread.column.name: {
            "low": spread.low,
            "high": spread.high,
            "edges": list(spread.edges),
            "counts": list(spread.counts),
        }
        for spread in found.spreads
    }
    places = [
        {"west": box.west, "south": box.south, "east": box.east, "north": box.north, "count": count}
        for box, count in (found.heat.cells if found.heat else ())
    ]
    answer = {"total": found.total, "images": [dict(row) for row in found.rows], "facets": facets}
    return Answered({**answer, "ranges": ranges, "places": places})


async def image(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Return all that is known of one image."""
    whole = await see(stores, read_id(request.query_params))
    columns = {column.name: value for group in whole.groups.values() for column, value in group}
    return Answered(
        {
            "id": whole.id,
            "columns": columns,
            "answers": [_answer(each) for each in whole.answers],
            "classes": list(whole.classes),
            "corrections": [_correction(each) for each in await changing.history(stores, whole.id)],
        }
    )


async def alike(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Find images like one."""
    found = await find_like(stores, read_id(request.query_params))
    return Answered(
        {
            "by": found.by,
            "wrong": found.wrong,
            "images": [{**row, "near": near} for row, near in found.images],
        }
    )


async def label(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Correct the known class of an image."""
    found = await read_change(request, visitor)
    whole = await see(stores, read_id({"id": text_of(found, "id")}))
    given, reason = text_of(found, "label"), text_of(found, "reason")
    await changing.label(stores, whole.id, given, whole.classes, visitor.person.name, reason)
    return Answered({"id": whole.id, "label": given or None})


async def delete(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Delete an image, and keep it out."""
    found = await read_change(request, visitor)
    image_id = read_id({"id": text_of(found, "id")})
    await changing.delete(stores, image_id, visitor.person.name, text_of(found, "reason"))
    return Answered({"id": image_id, "deleted": True})


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "model": answer.model,
        "version": answer.version,
        "label": answer.label,
        "confidence": answer.confidence,
        "classified_at": answer.classified_at,
        "current": answer.current,
        "probabilities": dict(answer.bars),
    }


def _correction(correction: Correction) -> dict[str, Any]:
    return {
        "kind": correction.kind,
        "knownlabel": correction.knownlabel,
        "by": correction.actor,
        "reason": correction.reason,
        "at": correction.corrected_at,
    }
