"""The workers of a fleet as plain values, for tables and for programs."""

from typing import Any

from flumen.streams.control.operator.fleet import Seen
from flumen.streams.control.records import ModelRef

SILENT = "silent"


def worker_row(seen: Seen) -> dict[str, Any]:
    """Return what is known of a worker, for programs."""
    status = seen.status
    refused = status.refused
    return {
        "worker": status.worker,
        "state": SILENT if seen.is_silent else str(status.state),
        "model": named(status.model, status.champion),
        "prepared": named(status.model, status.prepared),
        "challenger": named(status.model, status.challenger),
        "refused": None
        if refused is None
        else {
            "model": named(status.model, refused.ref),
            "revision": refused.revision,
            "reason": refused.reason,
            "message": refused.message,
        },
        "revision": status.revision,
        "images_per_s": status.images_per_s,
        "age_s": round(seen.age_s, 1),
        "started_at": status.started_at,
        "drift": None
        if status.drift is None
        else {"statistics": list(status.drift.statistics), "since": status.drift.since},
    }


def named(model: str, ref: ModelRef | None) -> str | None:
    """Return `mnist@2`, or None."""
    return None if ref is None else f"{model}@{ref.version}"
