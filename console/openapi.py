"""The OpenAPI document of the JSON API: every question, every answer, every refusal."""

from typing import Any

from flumen.console.forms import MOST_BYTES
from flumen.console.images.asked import FACETS, LAST_START, LONGEST_QUERY, MOST_FILTERS, PAGE_ROWS, SORTS
from flumen.console.images.bounds import RANGES, TIMES
from flumen.console.images.changing import LONGEST_REASON

Schema = dict[str, Any]


def describe(root: str) -> Schema:
    """Return the OpenAPI document, version 3.1, of the API below this address."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "flumen console",
            "version": "1",
            "description": "Images that are stored: found, seen, corrected. Times are microseconds since 1970, UTC.",
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {name: _error(text) for name, text in _ERRORS.items()},
            "schemas": _SCHEMAS,
        },
        "security": [{"token": []}],
        "paths": {
            f"{root}/images": {
                "get": _operation(
                    "Find images, and count what their facets hold.",
                    _VIEW,
                    _object(
                        {
                            "total": _COUNT,
                            "images": {"type": "array", "maxItems": PAGE_ROWS, "items": {"type": "object"}},
                            "facets": {"type": "object", "additionalProperties": _ref("Facet")},
                            "ranges": {"type": "object", "additionalProperties": _ref("Range")},
                            "places": {"type": "array", "items": _ref("Place")},
                        }
                    ),
                )
            },
            f"{root}/image": {
                "get": _operation("All that is known of one image.", [_ID], _WHOLE, missing=True)
            },
            f"{root}/image/alike": {"get": _operation("The images that are like one.", [_ID], _ALIKE)},
            f"{root}/image/label": {
                "post": _change(
                    "Correct the known class of an image; an empty label takes it away.",
                    _object({"id": _WORD, "label": _TEXT}, {"reason": _REASON}),
                    _object({"id": _TEXT, "label": {"type": ["string", "null"]}}),
                )
            },
            f"{root}/image/delete": {
                "post": _change(
                    "Take an image out of every store, and keep it out.",
                    _object({"id": _WORD, "reason": {**_REASON, "pattern": r"\S"}}),
                    _object({"id": _TEXT, "deleted": {"const": True}}),
                )
            },
        },
    }


def _operation(summary: str, parameters: list[Schema], answered: Schema, *, missing: bool = False) -> Schema:
    codes = ("400", "401", "403", "404", "503") if missing else ("400", "401", "403", "503")
    return {"summary": summary, "parameters": parameters, "responses": _responses("Found.", answered, codes)}


def _change(summary: str, sent: Schema, answered: Schema) -> Schema:
    return {
        "summary": summary,
        "description": f"Takes an operator's token, and {MOST_BYTES:,} bytes at the most.",
        "requestBody": {"required": True, "content": _json(sent)},
        "responses": _responses(
            "It is in all stores.", answered, ("400", "401", "403", "404", "409", "415", "503")
        ),
    }


def _responses(said: str, answered: Schema, codes: tuple[str, ...]) -> Schema:
    found: Schema = {"200": {"description": said, "content": _json(answered)}}
    return found | {code: {"$ref": f"#/components/responses/{code}"} for code in codes}


def _error(text: str) -> Schema:
    return {"description": text, "content": _json(_object({"error": {**_TEXT, "minLength": 1}}))}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _object(required: Schema, others: Schema | None = None) -> Schema:
    return {"type": "object", "properties": {**required, **(others or {})}, "required": list(required)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _bound(side: str, name: str) -> Schema:
    schema = {"type": "string", "format": "date-time"} if name in TIMES else {"type": "number"}
    words = {"min": "The least", "max": "The greatest"}[side]
    return {
        "name": f"{side}.{name}",
        "in": "query",
        "description": f"{words}: {RANGES[name]}.",
        "schema": schema,
    }


_TEXT: Schema = {"type": "string"}
_WORD: Schema = {"type": "string", "minLength": 1}
_REASON: Schema = {"type": "string", "maxLength": LONGEST_REASON}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_ERRORS = {
    "400": "What is wrong with the request, and what to write.",
    "401": "Who asks is not known: send a token.",
    "403": "Who asks may not do this; or the request came from a page of another site.",
    "404": "There is no such image.",
    "409": "What is stored is at odds with it: the image is deleted, or no store keeps corrections.",
    "415": "It is not JSON that was sent.",
    "503": "A store does not answer; ask again later.",
}
_ID: Schema = {
    "name": "id",
    "in": "query",
    "required": True,
    "description": "The image's id.",
    "schema": _WORD,
}
_VIEW: list[Schema] = [
    {
        "name": "q",
        "in": "query",
        "description": "As `flumen search` takes it.",
        "schema": {"type": "string", "maxLength": LONGEST_QUERY},
    },
    {
        "name": "f",
        "in": "query",
        "description": f"FACET:VALUE, of {', '.join(FACETS)}. May be given more than once.",
        "schema": {
            "type": "array",
            "maxItems": MOST_FILTERS,
            "items": {"type": "string", "pattern": f"^({'|'.join(FACETS)}):"},
        },
    },
    *(_bound(side, name) for name in RANGES for side in ("min", "max")),
    {
        "name": "box",
        "in": "query",
        "description": "A part of the map: WEST,SOUTH,EAST,NORTH in degrees.",
        "schema": {"type": "string"},
    },
    {"name": "sort", "in": "query", "schema": {"type": "string", "enum": list(SORTS)}},
    {
        "name": "start",
        "in": "query",
        "description": f"How many images come before these, {PAGE_ROWS} at the most.",
        "schema": {"type": "integer", "minimum": 0, "maximum": LAST_START},
    },
]
_SCHEMAS: Schema = {
    "Facet": {
        "type": "array",
        "items": _object({"value": _TEXT, "count": _COUNT}),
    },
    "Range": {
        "description": "How a column's values spread; no counts where all are one. One edge more than counts.",
        **_object(
            {
                "low": _NUMBER,
                "high": _NUMBER,
                "edges": {"type": "array", "items": _NUMBER},
                "counts": {"type": "array", "items": _COUNT},
            }
        ),
    },
    "Place": {
        "description": "A cell of the map, in degrees, and how many images were taken in it.",
        **_object({"west": _NUMBER, "south": _NUMBER, "east": _NUMBER, "north": _NUMBER, "count": _COUNT}),
    },
    "Answer": _object(
        {
            "model": _TEXT,
            "version": {"type": "integer"},
            "label": _TEXT,
            "confidence": {"type": ["number", "null"]},
            "classified_at": {"type": ["integer", "null"]},
            "current": {"type": "boolean"},
            "probabilities": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
        }
    ),
    "Correction": _object(
        {
            "kind": _TEXT,
            "knownlabel": {"type": ["integer", "null"]},
            "by": _TEXT,
            "reason": _TEXT,
            "at": {"type": "integer"},
        }
    ),
}
_WHOLE = _object(
    {
        "id": _TEXT,
        "columns": {"type": "object"},
        "answers": {"type": "array", "items": _ref("Answer")},
        "classes": {"type": "array", "items": _TEXT},
        "corrections": {"type": "array", "items": _ref("Correction")},
    }
)
_ALIKE = _object(
    {
        "by": {**_TEXT, "description": "What was compared; empty where nothing could be."},
        "wrong": {**_TEXT, "description": "Why nothing could be compared; empty where it was."},
        "images": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"id": _TEXT, "near": _TEXT},
                "required": ["id", "near"],
            },
        },
    }
)
