"""Pieces of OpenAPI documents that several parts of the API are described with."""

from collections.abc import Mapping
from typing import Any

TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "integer"}
FLAG: dict[str, Any] = {"type": "boolean"}

_ERROR = {
    "description": "What is wrong, and what to do.",
    "content": {
        "application/json": {
            "schema": {"type": "object", "properties": {"error": TEXT}, "required": ["error"]}
        }
    },
}


def errors(*codes: int) -> dict[str, Any]:
    """Return the answers of these codes, beside those that every request may get."""
    return {str(code): _ERROR for code in (400, 401, 403, 503, *codes)}


def json_of(properties: Mapping[str, Any], *optional: str) -> dict[str, Any]:
    """Return the content of a JSON object with these properties, of which all but `optional` are there."""
    required = [name for name in properties if name not in optional]
    return {
        "application/json": {
            "schema": {"type": "object", "properties": dict(properties), "required": required}
        }
    }


def get(summary: str, answered: Mapping[str, Any], parameters: list[Any], *codes: int) -> dict[str, Any]:
    """Return a path that is read. `answered` are the properties of its answer."""
    there = {"description": "As asked for.", "content": json_of(answered)}
    return {
        "get": {"summary": summary, "parameters": parameters, "responses": {"200": there, **errors(*codes)}}
    }


def post(summary: str, sent: dict[str, Any], answered: Mapping[str, Any], *codes: int) -> dict[str, Any]:
    """Return a path that changes something. `sent` is the content of the request."""
    done = {"description": "It is done.", "content": json_of(answered)}
    body = {"required": True, "content": sent}
    return {"post": {"summary": summary, "requestBody": body, "responses": {"200": done, **errors(*codes)}}}


def asked(name: str, doc: str, schema: Mapping[str, Any], *, required: bool = False) -> dict[str, Any]:
    """Return a parameter of an address."""
    return {"name": name, "in": "query", "description": doc, "required": required, "schema": dict(schema)}
