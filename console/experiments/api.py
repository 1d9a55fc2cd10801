"""The part of the API that is about experiments, impacts and drift."""

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flumen.console.access.gate import Visitor
from flumen.console.errors import BadQuestion
from flumen.console.experiments.drifting import DAYS, MOST_DAYS, WINDOWS, compute_drift, read_drift_view
from flumen.console.experiments.listed import experiments as listed
from flumen.console.openapi_pieces import COUNT, ROWS, TEXT, WHOLE, WORD, Schema, get, object_of, parameter
from flumen.console.stores import Stores
from flumen.models.errors import RunNotFound
from flumen.models.experiments.run import Run
from flumen.replay.drift.verdict import verdict


async def experiments(_request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """List the experiments."""
    found = listed(await stores.models.runs.ask(lambda store: store.list()))
    rows = [
        {
            "experiment": each.name,
            "runs": each.runs,
            "states": dict(each.states),
            "best_run": each.best.run_id if each.best else None,
            "best_accuracy": each.best.accuracy if each.best else None,
        }
        for each in found
    ]
    return JSONResponse({"experiments": rows})


async def experiment(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """List the runs of an experiment."""
    name = request.query_params.get("name", "")
    if not name:
        raise BadQuestion("say which experiment: ?name=NAME")
    runs = await stores.models.runs.ask(lambda store: store.list(name))
    if not runs:
        raise RunNotFound(f"there is no run of the experiment {name[:200]!r}")
    return JSONResponse({"experiment": name, "runs": [_run(run) for run in runs]})


async def impacts(_request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """List what was kept of every impact."""
    found = await stores.models.catalogue.ask(lambda catalogue: catalogue.impacts())
    return JSONResponse({"impacts": [asdict(each) for each in found]})


async def drift(request: Request, stores: Stores, _visitor: Visitor) -> Response:
    """Compare what arrived with the training, by windows of time."""
    desk = stores.models
    found = await compute_drift(desk, read_drift_view(request.query_params, desk.model_name))
    rows = [
        {
            "start_us": each.start,
            "column": each.column,
            "drifted": each.drifted,
            "times_threshold": float(each.distances.ratio),
        }
        for each in found.found
    ]
    answer = {"model": found.scope.model, "version": found.scope.version, "verdict": verdict(found)}
    return JSONResponse({**answer, "images": int(found.rows), "found": rows})


def _run(run: Run) -> dict[str, Any]:
    return {
        "run": run.run_id,
        "data_sha256": run.data_sha256,
        "state": run.state,
        "trainer": run.trainer,
        "seed": run.seed,
        "parameters": dict(run.parameters),
        "accuracy": run.accuracy,
        "duration_s": run.duration_s,
        "model": run.reference,
    }


def describe(root: str) -> Schema:
    """Return the paths of experiments, impact and drift below this address."""
    drifts = [
        parameter("model", "NAME or NAME@VERSION.", TEXT),
        parameter("window", "How long each window of time is.", {**TEXT, "enum": list(WINDOWS)}),
        parameter("days", "How far back.", {**COUNT, "maximum": MOST_DAYS, "default": DAYS}),
    ]
    name = parameter("name", "An experiment.", WORD, required=True)
    paths = {
        "experiments": get("The experiments.", [], object_of({"experiments": ROWS}), 404, 409),
        "experiment": get(
            "The runs of an experiment.", [name], object_of({"experiment": TEXT, "runs": ROWS}), 404, 409
        ),
        "impacts": get("What was kept of every impact.", [], object_of({"impacts": ROWS}), 404, 409),
        "drift": get(
            "What arrived, compared with the training by windows of time: it reads Kudu, and may take long.",
            drifts,
            object_of({"model": TEXT, "version": WHOLE, "verdict": {}, "found": ROWS}),
            404,
            409,
        ),
    }
    return {f"{root}/{path}": {"get": operation} for path, operation in paths.items()}
