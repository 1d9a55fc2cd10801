"""Asking for a swap, with what it would change; and following it until it is over."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from flumen.console.access.gate import Visitor, check_may_change
from flumen.console.errors import NotAllowed
from flumen.console.forms import read_change_form
from flumen.console.models.asked import LONGEST_REASON, read_action, read_asked, read_version
from flumen.console.models.pages import known_fleet, standing_now
from flumen.console.models.service import Models
from flumen.console.models.standing import Standing, running_elsewhere
from flumen.console.models.swaps import STEPS, Action, Asked, Swap
from flumen.console.pages import page
from flumen.console.stores import Stores
from flumen.models.errors import ModelError
from flumen.models.manifest import Manifest
from flumen.models.names import check_name
from flumen.replay.errors import ReplayError
from flumen.streams.control.operator.fleet_rows import worker_row
from flumen.streams.errors import StreamError


async def ask(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Show what a swap would change, and ask why it shall be."""
    check_may_change(visitor, visitor.form_token)
    desk, given = stores.models, request.query_params
    action = read_action(given)
    name, version = check_name(given.get("model", "")), read_version(given, action)
    known = await known_fleet(desk)
    standing = await standing_now(desk, name, known)
    wanted = None
    if version is not None:
        wanted = await desk.catalogue.ask(lambda catalogue: catalogue.manifest(name, version))
    asked = Asked(action=action, model=name, version=version, by=visitor.person.name, reason="")
    context: dict[str, Any] = {
        "asked": asked,
        "Action": Action,
        "standing": standing,
        "wanted": wanted,
        "elsewhere": () if standing.view.live else running_elsewhere(name, known),
        "longest_reason": LONGEST_REASON,
        "locked": desk.locked(),
        "fleet_error": known.error,
        "worker_row": worker_row,
        "requires_impact": desk.requires_impact,
        **await _what_it_changes(desk, action, standing, wanted),
    }
    return page("model_swap.html", visitor, **context)


async def begin(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Begin a swap, and lead to where it is followed."""
    form = await read_change_form(request, visitor)
    swap = begin_swap(stores.models, read_asked(form, visitor.person.name))
    return RedirectResponse(f"/models/swaps/{swap.id}", 303)


async def follow(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Show how far a swap is, or what came of it."""
    return await _progress("model_swapping.html", request, stores, visitor)


async def progress(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Send that part of the page alone which changes."""
    return await _progress("model_progress.html", request, stores, visitor)


async def give_up(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Let a swap end: what its first phase has written is taken back."""
    await read_change_form(request, visitor)
    swap = stores.models.swaps.get(request.path_params["id"])
    swap.is_given_up = True
    return RedirectResponse(f"/models/swaps/{swap.id}", 303)


def begin_swap(desk: Models, asked: Asked) -> Swap:
    """Begin a swap.

    Raises:
        NotAllowed: this console has no key to sign with.
        SwapRuns: another one runs.
    """
    if locked := desk.locked():
        raise NotAllowed(locked)
    return desk.swaps.begin(asked)


async def _progress(template: str, request: Request, stores: Stores, visitor: Visitor) -> Response:
    desk = stores.models
    swap = desk.swaps.get(request.path_params["id"])
    known = await known_fleet(desk)
    standing = await standing_now(desk, swap.asked.model, known, is_listed=False)
    if swap.view is not None and swap.state == "running":
        standing = Standing(standing.name, swap.view, standing.alias)
    context: dict[str, Any] = {
        "swap": swap,
        "standing": standing,
        "steps": STEPS[swap.asked.action],
        "worker_row": worker_row,
        "fleet_error": known.error,
        "Action": Action,
    }
    return page(template, visitor, **context)


async def _what_it_changes(
    desk: Models, action: Action, standing: Standing, wanted: Manifest | None
) -> dict[str, Any]:
    """Return the champion's manifest, the impact that was kept, and what speaks against the swap."""
    found: dict[str, Any] = {"former": None, "impact": None, "worse": None, "refusal": ""}
    champion = standing.champion
    if wanted is None or action is Action.SHADOW or champion in (None, wanted.version):
        return found
    try:
        former = await desk.catalogue.ask(lambda catalogue: catalogue.manifest(standing.name, champion or 0))
        found["former"] = former
        found["impact"] = await desk.catalogue.ask(lambda catalogue: catalogue.impact(former, wanted))
    except ModelError as error:
        found["refusal"] = str(error)
    if action is Action.ACTIVATE:
        try:
            found["worse"] = await asyncio.to_thread(desk.worse, wanted.name, wanted.version)
            if desk.requires_impact:
                await asyncio.to_thread(desk.require_impact, wanted.name, wanted.version)
        except (ModelError, ReplayError, StreamError) as error:
            found["refusal"] = str(error)
    return found
