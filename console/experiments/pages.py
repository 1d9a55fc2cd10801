"""The pages of experiments, impacts and drift; and reports by themselves, in a sandbox."""

from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from flumen.console.access.gate import Visitor
from flumen.console.experiments.drifting import WINDOWS, compute_drift, read_drift_view
from flumen.console.experiments.listed import experiments as listed
from flumen.console.models.figures import drawn
from flumen.console.models.pages import known_fleet
from flumen.console.pages import page
from flumen.console.stores import Stores
from flumen.models.errors import ModelError
from flumen.models.reports.experiment_page import experiment_report
from flumen.models.reports.page import policy
from flumen.models.reports.plot import filtered, table
from flumen.replay.drift.page import drift_page, drift_plots, found_table, windows_table
from flumen.replay.drift.verdict import verdict
from flumen.replay.errors import ReplayError


async def experiments(_request: Request, stores: Stores, visitor: Visitor) -> Response:
    """List the experiments."""
    runs = await stores.models.runs.ask(lambda store: store.list())
    return page("experiments.html", visitor, experiments=listed(runs))


async def experiment(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Show an experiment: its grids, how its best runs learnt, and all runs; or its report by itself."""
    name = request.path_params["name"]
    report = await stores.models.runs.ask(lambda store: experiment_report(store, name))
    if "alone" in request.query_params:
        return _alone(report.html())
    plots = [drawn(plot, "large") for plot in report.linked_plots()]
    runs = Markup(report.runs_table())  # noqa: S704 - reports escape what they are made of
    return page("experiment.html", visitor, name=name, plots=plots, runs=runs, count=len(report.runs))


async def impact(_request: Request, stores: Stores, visitor: Visitor) -> Response:
    """List what was kept of every impact."""
    found = await stores.models.catalogue.ask(lambda catalogue: catalogue.impacts())
    return page("impact.html", visitor, impacts=found, required=stores.models.requires_impact)


async def drift(request: Request, stores: Stores, visitor: Visitor) -> Response:
    """Show what the workers say of drift now; and, once asked for, what the stored images say, with plots."""
    desk, given = stores.models, request.query_params
    view = read_drift_view(given, desk.model_name)
    known = await known_fleet(desk)
    watched = [
        (name, status.worker, status.drift)
        for name, fleet in known.views.items()
        for status in fleet.live
        if status.drift is not None
    ]
    context: dict[str, Any] = {
        "view": view,
        "windows": list(WINDOWS),
        "watched": watched,
        "fleet_error": known.error,
        "names": await desk.catalogue.ask(lambda catalogue: list(catalogue.listed())),
        "address": f"/drift/alone?{request.url.query}",
        "asked": "model" in given,
        "found": None,
        "wrong": "",
    }
    if context["asked"]:
        try:
            found = await compute_drift(desk, view)
        except (ModelError, ReplayError) as error:
            context["wrong"] = str(error)
        else:
            context["found"] = found
            context["verdict"] = verdict(found)
            context["plots"] = {
                title: [drawn(plot) for plot in plots] for title, plots in drift_plots(found).items()
            }
            context["tables"] = {
                "Windows": Markup(table(windows_table(found))),  # noqa: S704 - as above
                "Windows and columns": Markup(filtered("all-found", "Show those with", found_table(found))),  # noqa: S704
            }
    return page("drift.html", visitor, **context)


async def drift_alone(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Send the report on drift by itself, as `flumen drift --page` writes it."""
    found = await compute_drift(
        stores.models, read_drift_view(request.query_params, stores.models.model_name)
    )
    return _alone(drift_page(found, datetime.now(UTC)))


def _alone(html: str) -> Response:
    """Return a report, which runs its own script in a sandbox: it has no cookie, and asks for nothing."""
    headers = {"content-security-policy": f"sandbox allow-scripts; {policy()}; frame-ancestors 'none'"}
    return Response(html.encode("utf-8", "replace"), 200, headers, "text/html; charset=utf-8")
