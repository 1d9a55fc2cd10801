"""What the API asks and answers of images, for its OpenAPI document."""

from flumen.console.images.asked import FACETS, LAST_START, LONGEST_QUERY, MOST_FILTERS, PAGE_ROWS, SORTS
from flumen.console.images.bounds import RANGES, TIMES
from flumen.console.images.changing import LONGEST_REASON
from flumen.console.openapi_pieces import COUNT, MAYBE_TEXT, NUMBER, TEXT, WORD, Schema, get, object_of, post


def describe(root: str) -> Schema:
    """Return the paths of images below this address."""
    return {
        f"{root}/images": {
            "get": get("Find images, and count what their facets hold.", _VIEW, _FOUND),
        },
        f"{root}/image": {"get": get("All that is known of one image.", [_ID], _WHOLE, 404)},
        f"{root}/image/alike": {"get": get("The images that are like one.", [_ID], _ALIKE)},
        f"{root}/image/label": {
            "post": post(
                "Correct the known class of an image; an empty label takes it away.",
                object_of({"id": WORD, "label": TEXT}, {"reason": _REASON}),
                object_of({"id": TEXT, "label": MAYBE_TEXT}),
            )
        },
        f"{root}/image/delete": {
            "post": post(
                "Take an image out of every store, and keep it out.",
                object_of({"id": WORD, "reason": {**_REASON, "pattern": r"\S"}}),
                object_of({"id": TEXT, "deleted": {"const": True}}),
            )
        },
    }


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


_REASON: Schema = {"type": "string", "maxLength": LONGEST_REASON}
_ID: Schema = {
    "name": "id",
    "in": "query",
    "required": True,
    "description": "The image's id.",
    "schema": WORD,
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
SCHEMAS: Schema = {
    "Facet": {
        "type": "array",
        "items": object_of({"value": TEXT, "count": COUNT}),
    },
    "Range": {
        "description": "How a column's values spread; no counts where all are one. One edge more than counts.",
        **object_of(
            {
                "low": NUMBER,
                "high": NUMBER,
                "edges": {"type": "array", "items": NUMBER},
                "counts": {"type": "array", "items": COUNT},
            }
        ),
    },
    "Place": {
        "description": "A cell of the map, in degrees, and how many images were taken in it.",
        **object_of({"west": NUMBER, "south": NUMBER, "east": NUMBER, "north": NUMBER, "count": COUNT}),
    },
    "Answer": object_of(
        {
            "model": TEXT,
            "version": {"type": "integer"},
            "label": TEXT,
            "confidence": {"type": ["number", "null"]},
            "classified_at": {"type": ["integer", "null"]},
            "current": {"type": "boolean"},
            "probabilities": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
        }
    ),
    "Correction": object_of(
        {
            "kind": TEXT,
            "knownlabel": {"type": ["integer", "null"]},
            "by": TEXT,
            "reason": TEXT,
            "at": {"type": "integer"},
        }
    ),
}
_WHOLE = object_of(
    {
        "id": TEXT,
        "columns": {"type": "object"},
        "answers": {"type": "array", "items": _ref("Answer")},
        "classes": {"type": "array", "items": TEXT},
        "corrections": {"type": "array", "items": _ref("Correction")},
    }
)
_ALIKE = object_of(
    {
        "by": {**TEXT, "description": "What was compared; empty where nothing could be."},
        "wrong": {**TEXT, "description": "Why nothing could be compared; empty where it was."},
        "images": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"id": TEXT, "near": TEXT},
                "required": ["id", "near"],
            },
        },
    }
)
_FOUND = object_of(
    {
        "total": COUNT,
        "images": {"type": "array", "maxItems": PAGE_ROWS, "items": {"type": "object"}},
        "facets": {"type": "object", "additionalProperties": _ref("Facet")},
        "ranges": {"type": "object", "additionalProperties": _ref("Range")},
        "places": {"type": "array", "items": _ref("Place")},
    }
)
