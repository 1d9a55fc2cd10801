"""Pieces that the parts of the API are described with, for its OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from flumen.console.forms import MOST_BYTES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WORD: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": "boolean"}
WHOLE: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
ROWS: Schema = {"type": "array", "items": {"type": "object"}}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}

_ERRORS = {
    400: "What is wrong with the request, and what to write.",
    401: "Who asks is not known: send a token.",
    403: "Who asks may not do this; or the request came from a page of another site.",
    404: "There is nothing of this name.",
    409: "What stands is at odds with it: an image that is deleted, another swap that runs, a plan that is refused.",
    415: "It is not JSON that was sent.",
    503: "A store, Kafka or the model repository does not answer; ask again later.",
}


def error_responses() -> Schema:
    """Return the refusals that operations name by their codes."""
    answered = {"error": {**TEXT, "minLength": 1}}
    return {
        str(code): {"description": text, "content": json_of(object_of(answered))}
        for code, text in _ERRORS.items()
    }


def get(summary: str, parameters: list[Schema], answered: Schema, *codes: int) -> Schema:
    """Return an operation that reads. `answered`: the schema of its answer; `codes`: refusals that not all have."""
    return {
        "summary": summary,
        "parameters": parameters,
        "responses": {"200": answer("Found.", answered), **errors(*codes)},
    }


def post(summary: str, sent: Schema, answered: Schema, *, done: int = 200) -> Schema:
    """Return an operation that changes something, and answers with the code `done`."""
    return {
        "summary": summary,
        "description": f"Takes an operator's token, and {MOST_BYTES:,} bytes at the most.",
        "requestBody": {"required": True, "content": json_of(sent)},
        "responses": {str(done): answer("Done, or begun.", answered), **errors(404, 409, 415)},
    }


def answer(said: str, schema: Schema) -> Schema:
    """Return an answer of JSON."""
    return {"description": said, "content": json_of(schema)}


def errors(*codes: int) -> Schema:
    """Return the refusals of these codes, and those that every request may get."""
    return {
        str(code): {"$ref": f"#/components/responses/{code}"} for code in sorted({400, 401, 403, 503, *codes})
    }


def json_of(schema: Schema) -> Schema:
    """Return the content of a message of JSON."""
    return {"application/json": {"schema": schema}}


def object_of(required: Mapping[str, Schema], others: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of an object with these properties, and maybe others."""
    return {"type": "object", "properties": {**required, **(others or {})}, "required": list(required)}


def parameter(name: str, doc: str, schema: Schema, *, required: bool = False) -> Schema:
    """Return a parameter of an address."""
    return {"name": name, "in": "query", "description": doc, "required": required, "schema": dict(schema)}
