"""The JSON API, version 1: what the pages of images use, for programs. `describe` is its OpenAPI document."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flumen.console.access.gate import HEADER, Visitor, check_may_change
from flumen.console.experiments.api import describe as describe_experiments
from flumen.console.forms import read_json, text_of
from flumen.console.images import changing
from flumen.console.images.asked import FACETS, LAST_START, PAGE_ROWS, SORTS, read_id, read_view
from flumen.console.images.finding import find_page
from flumen.console.images.one import Answer, see
from flumen.console.models.api import describe as describe_models
from flumen.console.stores import Stores
from flumen.stores.corrections import Correction


async def images(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Find images."""
    found = await find_page(stores, read_view(request.query_params))
    facets = {
        facet.name: [{"value": value, "count": count} for value, count in facet.values]
        for facet in found.facets
    }
    return JSONResponse({"total": found.total, "images": [dict(row) for row in found.rows], "facets": facets})


async def image(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Return all that is known of one image."""
    whole = await see(stores, read_id(request.query_params))
    columns = {column.name: value for group in whole.groups.values() for column, value in group}
    return JSONResponse(
        {
            "id": whole.id,
            "columns": columns,
            "answers": [_answer(each) for each in whole.answers],
            "classes": list(whole.classes),
            "corrections": [_correction(each) for each in await changing.history(stores, whole.id)],
        }
    )


async def label(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Correct the known class of an image."""
    found = await read_json(request)
    check_may_change(visitor, request.headers.get(HEADER, ""))
    whole = await see(stores, read_id({"id": text_of(found, "id")}))
    given, reason = text_of(found, "label"), text_of(found, "reason")
    await changing.label(stores, whole.id, given, whole.classes, visitor.person.name, reason)
    return JSONResponse({"id": whole.id, "label": given or None})


async def delete(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Delete an image, and keep it out."""
    found = await read_json(request)
    check_may_change(visitor, request.headers.get(HEADER, ""))
    image_id = read_id({"id": text_of(found, "id")})
    await changing.delete(stores, image_id, visitor.person.name, text_of(found, "reason"))
    return JSONResponse({"id": image_id, "deleted": True})


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


def describe(root: str) -> dict[str, Any]:
    """Return the OpenAPI document of this API."""
    error = {"description": "What is wrong, and what to do.", "content": _json({"error": {"type": "string"}})}
    errors = dict.fromkeys(("400", "401", "403", "503"), error)
    one = {**errors, "404": error, "409": error}
    image_id = {"name": "id", "in": "query", "required": True, "schema": {"type": "string", "minLength": 1}}
    text = {"type": "string"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "flumen console", "version": "1"},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
        "paths": {
            f"{root}/images": {
                "get": {
                    "summary": "Find images, and count what their facets hold.",
                    "parameters": _VIEW,
                    "responses": {
                        "200": {
                            "description": f"{PAGE_ROWS} images at the most; times are microseconds since 1970, UTC.",
                            "content": _json(
                                {
                                    "total": {"type": "integer"},
                                    "images": {"type": "array", "items": {"type": "object"}},
                                    "facets": {"type": "object"},
                                }
                            ),
                        },
                        **errors,
                    },
                }
            },
            f"{root}/image": {
                "get": {
                    "summary": "All that is known of one image.",
                    "parameters": [image_id],
                    "responses": {"200": {"description": "The image.", "content": _json(_WHOLE)}, **one},
                }
            },
            f"{root}/image/label": _change(
                "Correct the known class of an image; an empty label takes it away.",
                {"id": {**text, "minLength": 1}, "label": text, "reason": text},
                {"id": text, "label": {"type": ["string", "null"]}},
                one,
            ),
            f"{root}/image/delete": _change(
                "Take an image out of every store, and keep it out.",
                {"id": {**text, "minLength": 1}, "reason": {**text, "minLength": 1}},
                {"id": text, "deleted": {"type": "boolean"}},
                one,
            ),
            **describe_models(root, one),
            **describe_experiments(root, one),
        },
    }


def _json(properties: dict[str, Any], *, closed: bool = False) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"application/json": {"schema": {**schema, "additionalProperties": False} if closed else schema}}


def _change(
    summary: str, sent: dict[str, Any], answered: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": _json(sent)},
            "responses": {
                "200": {"description": "It is in all stores.", "content": _json(answered)},
                **errors,
            },
        }
    }


_VIEW = [
    {
        "name": "q",
        "in": "query",
        "description": "As `flumen search` takes it.",
        "schema": {"type": "string"},
    },
    {
        "name": "f",
        "in": "query",
        "description": f"FACET:VALUE, of {', '.join(FACETS)}. May be given more than once.",
        "schema": {"type": "array", "items": {"type": "string"}},
    },
    {"name": "sort", "in": "query", "schema": {"type": "string", "enum": list(SORTS)}},
    {
        "name": "start",
        "in": "query",
        "schema": {"type": "integer", "minimum": 0, "maximum": LAST_START},
    },
]
_WHOLE = {
    "id": {"type": "string"},
    "columns": {"type": "object"},
    "answers": {"type": "array", "items": {"type": "object"}},
    "classes": {"type": "array", "items": {"type": "string"}},
    "corrections": {"type": "array", "items": {"type": "object"}},
}
