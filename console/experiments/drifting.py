"""Drift, computed from what is stored, as `flumen drift` does."""

import time
from dataclasses import dataclass

from starlette.datastructures import QueryParams

from flumen.console.errors import BadQuestion
from flumen.console.images.asked import read_number
from flumen.console.models.service import Models
from flumen.models.names import parse_reference
from flumen.replay.drift import Drift, Scope, find_drift, of_training, scan

WINDOWS = {"1h": 3600, "6h": 6 * 3600, "1d": 86_400, "7d": 7 * 86_400}
"""Lengths of windows, seconds."""

DAYS = 30
MOST_DAYS = 3650
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class View:
    """Whose drift is asked for, by windows of which length, of how many days."""

    model: str
    window: str
    days: int


def read_drift_view(given: QueryParams, model: str) -> View:
    """Read what is asked for; `model` where none is named.

    Raises:
        BadQuestion: there are no such windows or days.
        BadModelName: no model can be called so.
    """
    window = given.get("window", "1d")
    if window not in WINDOWS:
        raise BadQuestion(f"there are no windows of {window[:80]!r}; there are: {', '.join(WINDOWS)}")
    reference = given.get("model", "") or model
    parse_reference(reference)
    return View(reference, window, read_number(given, "days", DAYS, MOST_DAYS))


async def compute_drift(desk: Models, view: View) -> Drift:
    """Compare what arrived, by windows of time, with what is known of the training.

    Raises:
        ReplayError: there is nothing to compare, or nothing to compare it with.
        StoreError: Kudu does not answer, or takes too long.
        ModelError: there is no such model.
    """
    version = await desk.catalogue.ask(lambda catalogue: catalogue.version(view.model))
    manifest = version.manifest
    scope = Scope(
        model=manifest.name,
        version=manifest.version,
        width_us=WINDOWS[view.window] * 1_000_000,
        since_us=max(1, time.time_ns() // 1000 - view.days * _DAY_US),
        calibration=version.report.reliability if version.report else None,
    )
    reference = of_training(manifest, version.reports)
    counting = await desk.tables.ask(lambda tables: scan(tables, scope, reference))
    return find_drift(counting, scope, reference)
