"""Forms and JSON that are sent, read within bounds."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from flumen.console.access.gate import FORM_FIELD, HEADER, Visitor, check_may_change
from flumen.console.errors import BadQuestion, NotJson

MOST_BYTES = 64 * 1024
MOST_FIELDS = 50
WITHIN_S = 10.0
"""So long may what is sent take to come."""


async def read_body(request: Request) -> bytes:
    """Return what was sent.

    Raises:
        BadQuestion: it is more than is ever needed, or does not come in time.
    """
    body = b""
    try:
        async with asyncio.timeout(WITHIN_S):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    raise BadQuestion(f"a request has {MOST_BYTES:,} bytes at the most")
    except TimeoutError:
        raise BadQuestion(f"the request was not whole within {WITHIN_S:.0f} s; send it again") from None
    return body


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form; of two with one name, the last.

    Raises:
        BadQuestion: it is none, or too large.
    """
    return dict(await read_fields(request, MOST_FIELDS))


async def read_change_form(request: Request, visitor: Visitor) -> dict[str, str]:
    """Return the fields of a form that changes something, from somebody who may.

    Raises:
        BadQuestion: it is none, or too large.
        NotAllowed: they may only look, or the form is of another page.
    """
    form = await read_form(request)
    check_may_change(visitor, form.get(FORM_FIELD, ""))
    return form


async def read_change(request: Request, visitor: Visitor) -> dict[str, Any]:
    """Return a JSON object that changes something, from somebody who may.

    Raises:
        NotJson: it is not marked as such.
        BadQuestion: it is none, or too large.
        NotAllowed: they may only look, or the request is of another page.
    """
    found = await read_json(request)
    check_may_change(visitor, request.headers.get(HEADER, ""))
    return found


async def read_fields(request: Request, most: int) -> list[tuple[str, str]]:
    """Return the fields of a form in their order, `most` at the most.

    Raises:
        BadQuestion: it is none, or too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadQuestion("send the form as a browser does: application/x-www-form-urlencoded")
    try:
        text = (await read_body(request)).decode("utf-8")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=most, errors="strict")
    except ValueError as error:
        raise BadQuestion(f"this is no form: {error}") from error


async def read_json(request: Request) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        NotJson: it is not marked as such.
        BadQuestion: it is none, or too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise NotJson("send JSON, with content-type: application/json")
    try:
        found = json.loads(await read_body(request))
    except (ValueError, RecursionError) as error:
        raise BadQuestion(f"this is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadQuestion("send a JSON object")
    return found


def text_of(found: dict[str, Any], name: str, default: str = "") -> str:
    """Return a text of a JSON object.

    Raises:
        BadQuestion: it is none.
    """
    given = found.get(name, default)
    if not isinstance(given, str):
        raise BadQuestion(f"{name} is a text")
    if any("\ud800" <= sign <= "\udfff" for sign in given):
        raise BadQuestion(f"{name} has half a character in it (a lone surrogate): send whole ones")
    return given
