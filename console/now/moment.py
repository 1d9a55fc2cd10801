"""What is known of a moment, as the API and the page have it: plain values, by the columns of the tables."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson

from flumen.console.dead_letters.listed import DeadLetterList
from flumen.console.now.readings import Backlog, FleetReading, Sample, StoreState
from flumen.console.times import microseconds
from flumen.console.watching import Report
from flumen.streams.control.operator.fleet import FleetView, Seen

MOST_WORKERS = 200
MOST_PARTITIONS = 200
MOST_GROUPS = 20
_LONGEST = 300
_SILENT = "silent"


def describe(
    sample: Sample,
    fleet: Report[FleetReading],
    backlog: Report[Backlog],
    dead_letters: Report[DeadLetterList],
    stores: Sequence[StoreState],
) -> dict[str, Any]:
    """Return what is known, with the newest sample. A source that has said something and fails now keeps its word."""
    problems = {"workers": fleet.problem, "partitions": backlog.problem, "dead_letters": dead_letters.problem}
    views = fleet.said.views if fleet.said else ()
    workers = [_worker(view, seen) for view in views for seen in view.workers]
    partitions = backlog.said.partitions if backlog.said else ()
    groups = dead_letters.said.groups()[:MOST_GROUPS] if dead_letters.said else ()
    return {
        "sample": sample_row(sample),
        "workers": workers[:MOST_WORKERS],
        "stores": [asdict(store) for store in stores],
        "partitions": [
            {
                "partition": each.partition,
                "lag": each.lag,
                "acknowledged": each.acknowledged,
                "ends": each.ends,
            }
            for each in partitions[:MOST_PARTITIONS]
        ],
        "dead_letters": [asdict(group) | {"reason": _cut(group.reason)} for group in groups],
        "swaps": [
            asdict(swap) | {"reason": _cut(swap.reason)} for swap in (fleet.said.swaps if fleet.said else ())
        ],
        "wants": [_wanted(view) for view in views],
        "problems": {name: _cut(problem) for name, problem in problems.items() if problem},
    }


def sample_row(sample: Sample) -> dict[str, Any]:
    """Return a sample by the names of its values, each with four digits that count."""
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in asdict(sample).items()
    }


def event(moment: dict[str, Any]) -> bytes:
    """Return a moment as a server-sent event: one line of JSON."""
    return b"data: " + as_json(moment) + b"\n\n"


def as_json(moment: dict[str, Any]) -> bytes:
    """Return a moment as JSON; half a character that Kafka brought becomes a mark."""
    try:
        return orjson.dumps(moment)
    except TypeError:
        return orjson.dumps(_whole(moment))


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    return [_whole(each) for each in value] if isinstance(value, list) else value


def _worker(view: FleetView, seen: Seen) -> dict[str, Any]:
    status = seen.status
    champion = f"{view.model}@{status.champion.version}" if status.champion else view.model
    refused = f"{status.refused.reason}: {status.refused.message}" if status.refused else None
    drift = f"what arrives has changed: {', '.join(status.drift.statistics[:3])}" if status.drift else None
    return {
        "worker": status.worker,
        "state": _SILENT if seen.is_silent else str(status.state),
        "model": champion,
        "revision": status.revision,
        "images_per_s": status.images_per_s if seen.is_live else 0.0,
        "memory_bytes": seen.headers.memory_bytes,
        "started_at": microseconds(status.started_at) or None,
        "heard_s": round(seen.age_s, 1),
        "problem": _cut(refused or drift or "") or None,
    }


def _wanted(view: FleetView) -> dict[str, Any]:
    desired = view.desired
    return {
        "model": view.model,
        "revision": view.revision,
        "champion": desired.champion.version if desired else None,
        "challenger": desired.challenger.version if desired and desired.challenger else None,
        "prepare": desired.prepare.version if desired and desired.prepare else None,
        "conflict": _cut(view.conflict or "") or None,
    }


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
