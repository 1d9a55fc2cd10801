"""What a worker says of itself, in as many words as a test needs."""

from typing import Any

from flumen.streams.control.records import WorkerState, WorkerStatus

SAID_AT = "2027-01-15T08:00:00Z"
STARTED_AT = "2027-01-15T07:00:00Z"


def worker_status(**said: Any) -> WorkerStatus:
    """Return a status of the worker `w1`, which serves and has neither a model nor news, but for what is said here."""
    nothing: dict[str, Any] = {
        "worker": "w1",
        "model": "mnist",
        "state": WorkerState.SERVING,
        "champion": None,
        "challenger": None,
        "prepared": None,
        "refused": None,
        "heard": 0,
        "revision": 0,
        "images_per_s": 0.0,
        "at": SAID_AT,
        "started_at": STARTED_AT,
    }
    return WorkerStatus(**nothing | said)
