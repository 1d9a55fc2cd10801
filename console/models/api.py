"""The part of the API that is about models; `describe` is that of its OpenAPI document."""

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flumen.console.access.gate import Visitor
from flumen.console.errors import BadQuestion
from flumen.console.forms import read_change
from flumen.console.images.asked import read_number
from flumen.console.models.asked import read_asked
from flumen.console.models.catalogue import Listed
from flumen.console.models.pages import WHOLE_TRAIL, known_fleet, standing_now
from flumen.console.models.standing import Standing
from flumen.console.models.swap_pages import begin_swap
from flumen.console.models.swaps import Action, Swap
from flumen.console.openapi_pieces import (
    COUNT,
    FLAG,
    MAYBE_TEXT,
    ROWS,
    TEXT,
    WHOLE,
    WORD,
    Schema,
    get,
    object_of,
    parameter,
    post,
)
from flumen.console.stores import Stores
from flumen.models.manifest import Manifest
from flumen.models.names import check_name
from flumen.streams.control.operator.fleet_rows import worker_row


async def models(_request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """List the versions of all models."""
    desk = stores.models
    listed = await desk.catalogue.ask(lambda catalogue: catalogue.listed())
    known = await known_fleet(desk)
    rows = []
    for name, versions in listed.items():
        standing = await standing_now(desk, name, known)
        rows += [_listed(each, standing) for each in versions]
    return JSONResponse({"models": rows, "fleet_unknown": known.error or None})


async def model(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Return what is known of a version."""
    reference = request.query_params.get("reference", "")
    desk = stores.models
    version = await desk.catalogue.ask(lambda catalogue: catalogue.version(reference))
    standing = await standing_now(desk, version.manifest.name, await known_fleet(desk))
    manifest = version.manifest
    training = asdict(manifest.training) if manifest.training else None
    return JSONResponse(
        {
            **_about(manifest, standing),
            "aliases": list(version.aliases),
            "labels": list(manifest.labels),
            "confusion": version.confusion,
            "training": training,
            "golden_images": len(manifest.golden),
        }
    )


async def fleet(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Return what every worker of a model runs, and what it shall run."""
    name = check_name(request.query_params.get("name", ""))
    desk = stores.models
    known = await known_fleet(desk)
    view = (await standing_now(desk, name, known, is_listed=False)).view
    swap = desk.swaps.running(name)
    return JSONResponse(
        {
            "model": name,
            "desired": asdict(view.desired) if view.desired else None,
            "conflict": view.conflict,
            "workers": [worker_row(seen) for seen in view.workers],
            "swap": swap.id if swap else None,
            "unknown": known.error or None,
        }
    )


async def trail(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Return who changed a model, when, why, and where it took effect; the newest first."""
    name = check_name(request.query_params.get("name", ""))
    most = read_number(request.query_params, "limit", 100, WHOLE_TRAIL)
    found = await stores.models.audit.ask(lambda audit: audit.trail(name, most))
    entries = [asdict(each) for each in found.entries]
    return JSONResponse({"changes": entries, "total": found.total, "unread": found.unread})


async def swap(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Return how far a swap is, or what came of it."""
    return JSONResponse(_swap(stores.models.swaps.get(request.query_params.get("id", ""))))


async def begin(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Begin a swap."""
    found = await read_change(request, visitor)
    return JSONResponse(_swap(begin_swap(stores.models, read_asked(_texts(found), visitor.person.name))), 202)


def _texts(found: dict[str, Any]) -> dict[str, str]:
    """Return JSON as a form has it."""
    given = {}
    for name, value in found.items():
        if isinstance(value, bool):
            given[name] = "yes" if value else ""
        elif isinstance(value, int | str):
            given[name] = str(value)
        else:
            raise BadQuestion(f"{name[:80]!r} is a text, a whole number, true or false")
    return given


def _listed(listed: Listed, standing: Standing) -> dict[str, Any]:
    if listed.manifest is None:
        return {"model": listed.name, "version": listed.version, "problem": listed.problem}
    return {**_about(listed.manifest, standing), "aliases": list(listed.aliases), "problem": None}


def _about(manifest: Manifest, standing: Standing) -> dict[str, Any]:
    scores = asdict(manifest.scores) if manifest.scores else None
    if scores:
        del scores["confusion"]
    return {
        "model": manifest.name,
        "version": manifest.version,
        "sha256": manifest.sha256,
        "roles": standing.roles(manifest.version),
        "workers": standing.workers(manifest.version),
        "scores": scores,
    }


def _swap(found: Swap) -> dict[str, Any]:
    asked = found.asked
    return {
        "id": found.id,
        "do": asked.action.value,
        "model": asked.model,
        "version": asked.version,
        "by": asked.by,
        "reason": asked.reason,
        "state": found.state,
        "waits": found.words,
        "began_us": found.began_us,
        "ended_us": found.ended_us,
        "said": list(found.said),
        "refused": found.refused or None,
        "workers": [worker_row(seen) for seen in found.view.workers] if found.view else [],
    }


def describe(root: str) -> Schema:
    """Return the paths of models below this address."""
    name = parameter("name", "A model.", {**WORD, "pattern": "^[a-z0-9][a-z0-9_-]{0,99}$"}, required=True)
    limit = parameter("limit", "How many at the most.", {**COUNT, "maximum": WHOLE_TRAIL})
    reference = parameter("reference", "NAME@VERSION, or NAME@ALIAS.", WORD, required=True)
    swapped = object_of(
        {
            **dict.fromkeys(("id", "do", "model", "by", "reason", "state", "waits"), TEXT),
            "version": {"type": ["integer", "null"]},
            "said": {"type": "array", "items": TEXT},
            "refused": MAYBE_TEXT,
            "workers": ROWS,
        }
    )
    sent = object_of(
        {
            "do": {**TEXT, "enum": [each.value for each in Action]},
            "model": WORD,
            "reason": {**WORD, "description": "Why, for the audit trail."},
        },
        {
            "version": {**WHOLE, "minimum": 1, "description": "None for rollback and shadow-off."},
            "though_worse": {**FLAG, "description": "Though it scored less than the champion."},
            "needs_impact": {**FLAG, "description": "Only if its impact is known and good enough."},
            "force": {**FLAG, "description": "Without workers that are silent."},
        },
    )
    return {
        f"{root}/models": {
            "get": get(
                "The versions of all models.",
                [],
                object_of({"models": ROWS, "fleet_unknown": MAYBE_TEXT}),
                404,
                409,
            )
        },
        f"{root}/model": {
            "get": get(
                "What is known of a version: its scores, how it was made, how it stands.",
                [reference],
                object_of({"model": TEXT, "version": WHOLE, "labels": {"type": "array", "items": TEXT}}),
                404,
                409,
            )
        },
        f"{root}/model/fleet": {
            "get": get(
                "What every worker of a model runs, and what it shall run; `swap`: that of this console that runs.",
                [name],
                object_of({"model": TEXT, "workers": ROWS, "swap": MAYBE_TEXT, "unknown": MAYBE_TEXT}),
                404,
                409,
            )
        },
        f"{root}/model/trail": {
            "get": get(
                "Who changed a model, when, why, and where it took effect; the newest first.",
                [name, limit],
                object_of({"changes": ROWS, "total": COUNT, "unread": COUNT}),
                404,
                409,
            )
        },
        f"{root}/model/swap": {
            "get": get(
                "How far a swap is.", [parameter("id", "The swap's.", WORD, required=True)], swapped, 404, 409
            ),
            "post": post("Begin a swap; ask for its `id` how far it is.", sent, swapped, done=202),
        },
    }
