"""The pages of images: all that are found, and one."""

import asyncio
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from flumen.console.access.gate import Visitor, check_may_change
from flumen.console.errors import BadQuestion
from flumen.console.forms import read_change_form
from flumen.console.headers import IMAGE_POLICY
from flumen.console.images import changing
from flumen.console.images.alike import find_like
from flumen.console.images.asked import FACETS, LAST_START, PAGE_ROWS, SORTS, read_id, read_view
from flumen.console.images.finding import exported_columns, find_all, find_page
from flumen.console.images.one import original as read_original
from flumen.console.images.one import see, view_as_png
from flumen.console.pages import page
from flumen.console.plots import heat_map, histogram, legend, places_of, range_of, table_of
from flumen.console.stores import Stores
from flumen.replay.sql.formats import FORMULA
from flumen.stores.errors import StoreRefused

_KEPT_A_WHILE = {"cache-control": "private, max-age=300"}
_GROUPS = {
    "envelope": "Where it came from",
    "decode": "The picture",
    "statistics": "Its pixels",
    "metadata": "What it says of itself",
    "classify": "The answer",
}


def image_address(image_id: str, path: str = "/image") -> str:
    """Return the address of an image's page, or of another page on it."""
    return f"{path}?{urlencode({'id': image_id}, errors='surrogatepass')}"


async def images(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Show what is found: the query, the facets, the pictures."""
    view = read_view(request.query_params)
    found, wrong = None, ""
    try:
        found = await find_page(stores, view)
    except StoreRefused as error:
        wrong = str(error)
    context: dict[str, Any] = {
        "view": view,
        "found": found,
        "wrong": wrong,
        "sorts": SORTS,
        "facets": FACETS,
        "page_rows": PAGE_ROWS,
        "last_start": LAST_START,
        "image_address": image_address,
        "ranges": [range_of(spread, view) for spread in found.spreads] if found else [],
        "histogram": histogram,
    }
    if found and found.heat:
        places = places_of(found.heat, view)
        shown = {"places": table_of(places), "drawn_map": heat_map(found.heat, places)}
        context |= {**shown, "legend": legend(places), "placed": sum(place.count for place in places)}
    return page("images.html", visitor, **context)


async def export(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Write what is found to a file: CSV, JSON lines, or ids alone."""
    kind = request.query_params.get("format", "csv")
    if kind not in _WRITERS:
        raise BadQuestion(f"there is no format {kind[:80]!r}; there are: {', '.join(_WRITERS)}")
    found = await find_all(stores, read_view(request.query_params))
    write, media_type = _WRITERS[kind]
    body = "".join(write(found.rows, exported_columns(stores))).encode("utf-8", "replace")
    name = {"csv": "images.csv", "jsonl": "images.jsonl", "ids": "ids.txt"}[kind]
    headers = {"content-disposition": f'attachment; filename="{name}"', "x-found": str(found.total)}
    return Response(body, 200, headers, media_type)


async def image(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Show one image: its pictures, all that is known of it, what models said of it, what was corrected."""
    image_id = read_id(request.query_params)
    whole, corrections, alike = await asyncio.gather(
        see(stores, image_id), changing.history(stores, image_id), find_like(stores, image_id)
    )
    context: dict[str, Any] = {
        "whole": whole,
        "groups": _GROUPS,
        "corrections": corrections,
        "alike": alike,
        "image_address": image_address,
        "done": request.query_params.get("done", "") == "label",
    }
    return page("image.html", visitor, **context)


async def original(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Send an image as it was published: to be shown where browsers show such, else to be kept as a file."""
    content, media_type = await read_original(stores, read_id(request.query_params))
    headers = {"content-security-policy": IMAGE_POLICY, "content-disposition": "inline", **_KEPT_A_WHILE}
    if media_type is None:
        headers["content-disposition"] = 'attachment; filename="image"'
    return Response(content, 200, headers, media_type or "application/octet-stream")


async def view(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Send what the classifier saw of an image, as PNG."""
    content = await view_as_png(stores, read_id(request.query_params))
    return Response(content, 200, {"content-security-policy": IMAGE_POLICY, **_KEPT_A_WHILE}, "image/png")


async def label(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Correct the known class of an image, and show it again."""
    form = await read_change_form(request, visitor)
    whole = await see(stores, read_id(request.query_params))
    given, reason = form.get("label", ""), form.get("reason", "")
    await changing.label(stores, whole.id, given, whole.classes, visitor.person.name, reason)
    return RedirectResponse(image_address(whole.id) + "&done=label", 303)


async def delete(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Say what deleting an image takes away; and, when that was confirmed, delete it."""
    if request.method == "GET":
        check_may_change(visitor, visitor.form_token)
        whole = await see(stores, read_id(request.query_params))
        return page("delete.html", visitor, whole=whole, image_address=image_address)
    form = await read_change_form(request, visitor)
    image_id = read_id(request.query_params)
    await changing.delete(stores, image_id, visitor.person.name, form.get("reason", ""))
    return page("deleted.html", visitor, id=image_id)


def _csv(rows: Iterable[Mapping[str, Any]], columns: list[str]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in columns])
    yield buffer.getvalue()


def _cell(value: Any) -> Any:
    # A spreadsheet runs a text that begins so: a quote in front of it makes it text.
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    return f"'{value}" if isinstance(value, str) and re.match(FORMULA, value) else value


def _json_lines(rows: Iterable[Mapping[str, Any]], columns: list[str]) -> Iterator[str]:
    for row in rows:
        yield json.dumps({name: row.get(name) for name in columns}, ensure_ascii=False) + "\n"


def _ids(rows: Iterable[Mapping[str, Any]], _columns: list[str]) -> Iterator[str]:
    for row in rows:
        yield f"{row['id']}\n"


_WRITERS = {
    "csv": (_csv, "text/csv; charset=utf-8"),
    "jsonl": (_json_lines, "application/jsonl; charset=utf-8"),
    "ids": (_ids, "text/plain; charset=utf-8"),
}
