"""The pages of models: all of them, one version, two side by side."""

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from flumen.console.access.gate import Visitor
from flumen.console.errors import BadQuestion
from flumen.console.headers import IMAGE_POLICY
from flumen.console.images.asked import read_number
from flumen.console.models.catalogue import Version
from flumen.console.models.figures import SCORES, confusion_figure, report_figures
from flumen.console.models.following import Known
from flumen.console.models.service import Models
from flumen.console.models.standing import Standing, standing_of
from flumen.console.models.swaps import Action
from flumen.console.pages import page
from flumen.console.stores import Stores
from flumen.models.evaluation.report import Against
from flumen.models.experiments.run import Run
from flumen.stores.errors import StoreError
from flumen.streams.control.operator.fleet_rows import worker_row

TRAIL = 20
WHOLE_TRAIL = 500
_MOST_GOLDEN = 100
_SOON_S = 3.0
"""So long a version's page waits for what it can be shown without."""


async def models(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Show every model: what it runs and where, its versions with their scores, and its audit trail."""
    desk = stores.models
    listed, known = await asyncio.gather(
        desk.catalogue.ask(lambda catalogue: catalogue.listed()), known_fleet(desk)
    )
    most = WHOLE_TRAIL if request.query_params.get("trail") == "whole" else TRAIL
    shown = []
    for name in sorted({*listed, *known.views}):
        standing = await standing_now(desk, name, known, is_listed=name in listed)
        trail = None
        if standing.view.desired is not None:
            trail = await desk.audit.ask(lambda audit, name=name: audit.trail(name, most))  # type: ignore[misc]
        shown.append((standing, listed.get(name, []), trail))
    return page("models.html", visitor, shown=shown, **_about(desk, known, visitor))


async def model(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Show one version: how it stands, its scores and plots, how it was made, its golden images."""
    desk = stores.models
    reference = request.path_params["reference"]
    version, known = await asyncio.gather(
        desk.catalogue.ask(lambda catalogue: catalogue.version(reference)), known_fleet(desk)
    )
    manifest = version.manifest
    standing = await standing_now(desk, manifest.name, known)
    context: dict[str, Any] = {
        "version": version,
        "made_by": await _runs_of(desk, str(manifest)),
        "manifest": manifest,
        "standing": standing,
        "confusion": confusion_figure(version),
        "figures": report_figures(version),
        "golden": manifest.golden[:_MOST_GOLDEN],
    }
    return page("model.html", visitor, **context, **_about(desk, known, visitor))


async def compare(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Show two versions side by side."""
    desk = stores.models
    references = [request.query_params.get(name, "") for name in ("a", "b")]
    if not all(references):
        raise BadQuestion("say which two: ?a=NAME@VERSION&b=NAME@VERSION")
    one, other = [
        await desk.catalogue.ask(lambda catalogue, each=each: catalogue.version(each))  # type: ignore[misc]
        for each in references
    ]
    impact = await desk.catalogue.ask(lambda catalogue: catalogue.impact(one.manifest, other.manifest))
    context: dict[str, Any] = {
        "one": one,
        "other": other,
        "impact": impact,
        "facts": _facts(one, other),
        "against": _against(one, other) or _against(other, one),
        "figures": [(each.manifest, confusion_figure(each), report_figures(each)) for each in (one, other)],
        "scores": SCORES,
    }
    return page("models_compare.html", visitor, **context)


async def fleet(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Send the table of a model's workers alone, to be put in the place of an older one."""
    desk = stores.models
    known = await known_fleet(desk)
    name = request.query_params.get("name", "")
    standing = standing_of(name, known, None)
    return page(
        "model_fleet.html", visitor, standing=standing, worker_row=worker_row, fleet_error=known.error
    )


async def golden(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Send a golden image of a version, as PNG."""
    number = read_number(request.query_params, "n", 0, 999)
    reference = request.path_params["reference"]
    content = await stores.models.catalogue.ask(lambda catalogue: catalogue.golden(reference, number))
    headers = {"content-security-policy": IMAGE_POLICY, "cache-control": "private, max-age=300"}
    return Response(content, 200, headers, "image/png")


async def known_fleet(desk: Models) -> Known:
    """Return what is known of the fleets; the first time that takes a moment."""
    return await asyncio.to_thread(desk.fleet.known)


async def standing_now(desk: Models, name: str, known: Known, *, is_listed: bool = True) -> Standing:
    """Return how a model stands, by its state or else by the repository's alias."""
    view = known.views.get(name)
    alias = None
    if is_listed and (view is None or view.desired is None):
        alias = await desk.catalogue.ask(lambda catalogue: catalogue.champion(name))
    return standing_of(name, known, alias)


async def _runs_of(desk: Models, reference: str) -> Sequence[Run] | str:
    """Return the runs that made a version; a text where Kudu does not say so soon."""
    asked = desk.runs.ask(lambda store: [run for run in store.list() if run.reference == reference])
    try:
        return await asyncio.wait_for(asked, _SOON_S)
    except TimeoutError:
        return "Kudu has not said so yet"
    except StoreError as error:
        return str(error)


def _about(desk: Models, known: Known, visitor: Visitor) -> dict[str, Any]:
    """Return what every page of models shows: who may swap, and what is wrong."""
    return {
        "fleet_error": known.error,
        "locked": desk.locked() if visitor.person.may_change else "",
        "may_swap": visitor.person.may_change,
        "worker_row": worker_row,
        "scores": SCORES,
        "Action": Action,
    }


def _facts(one: Version, other: Version) -> list[tuple[str, object, object]]:
    """Return how the two were made, where that differs."""
    found = [_made(each) for each in (one, other)]
    names = dict.fromkeys([*found[0], *found[1]])
    pairs = [(name, found[0].get(name), found[1].get(name)) for name in names]
    return [pair for pair in pairs if pair[1] != pair[2]]


def _made(version: Version) -> dict[str, object]:
    training, size = version.manifest.training, version.manifest.input.preprocess
    facts: dict[str, object] = {
        "labels": len(version.manifest.labels),
        "image": f"{size.width} x {size.height}, {'grey' if size.channels == 1 else 'colour'}",
        "threshold": size.threshold,
    }
    if training is not None:
        facts |= {
            "trained on": training.data,
            "fingerprint of its data": training.data_sha256,
            "images": training.images,
            "seed": training.seed,
            **training.parameters,
        }
    return facts


def _against(one: Version, other: Version) -> tuple[Version, Version, Against] | None:
    """Return how one did against the other on the same images, where an evaluation has compared them."""
    for report in one.reports:
        for against in report.against:
            if (against.model, against.version) == (other.manifest.name, other.manifest.version):
                return one, other, against
    return None
