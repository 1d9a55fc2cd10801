"""What the API answers of now, for its OpenAPI document."""

from flumen.console.now.tables import TABLES
from flumen.console.openapi_pieces import ROWS, TEXT, WHOLE, Schema, errors, get, object_of


def describe(root: str) -> Schema:
    """Return the paths of now below this address."""
    stream = {
        "description": "Events without a name, each of a JSON object as `/now` has it, the history in the first one "
        "alone; `end` where the session is over; comments where nothing is new.",
        "content": {"text/event-stream": {"schema": TEXT}},
    }
    summary = (
        "Rates, lag, delays, workers, stores, dead letters and swaps; times are microseconds since 1970, UTC."
    )
    return {
        f"{root}/now": {"get": get(summary, [], _NOW)},
        f"{root}/now/events": {
            "get": {
                "summary": "The same as it moves: server-sent events.",
                "responses": {"200": stream, **errors()},
            }
        },
    }


_NOW = object_of(
    {
        "sample": object_of({"at": WHOLE}),
        **{table.name: ROWS for table in TABLES},
        "wants": ROWS,
        "problems": {"type": "object", "additionalProperties": TEXT},
        "history": ROWS,
    }
)
