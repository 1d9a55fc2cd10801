"""Dead letters in the JSON API."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flumen.console.access.gate import Visitor
from flumen.console.dead_letters.asked import (
    LARGEST_ATTEMPTS,
    PAGE_ROWS,
    STATES,
    check_attempts,
    check_places,
    read_view,
)
from flumen.console.dead_letters.listed import NEWEST, Listed, group
from flumen.console.dead_letters.pages import read_place
from flumen.console.dead_letters.queue import Outcome
from flumen.console.dead_letters.service import DeadLetters
from flumen.console.dead_letters.shown import DUMPED_BYTES, headers_of
from flumen.console.errors import BadQuestion
from flumen.console.forms import read_change
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
from flumen.streams.dead_letters.queue import ReplayRules


class DeadLetterApi:
    """Answers with JSON of these dead letters."""

    def __init__(self, dead_letters: DeadLetters) -> None:
        self._all = dead_letters

    async def many(self, request: Request, _stores: Stores, _visitor: Visitor) -> Response:
        """Return the groups, and the dead letters of a view."""
        view = read_view(request.query_params)
        letters = view.letters(self._all.known)
        shown = letters[view.start : view.start + PAGE_ROWS]
        return JSONResponse(
            {
                "groups": [asdict(each) for each in group(self._all.known.letters(view.chosen))],
                "total": len(letters),
                "dead_letters": [_listed(letter) for letter in shown],
                "problem": self._all.problem or None,
            }
        )

    async def one(self, request: Request, _stores: Stores, _visitor: Visitor) -> Response:
        """Return all that is known of one dead letter."""
        entry = await self._all.get(read_place(request))
        letter, resolution = entry.dead_letter, entry.resolution
        facts = {name: value for name, value in asdict(letter).items() if name != "failed_at"}
        return JSONResponse(
            {
                **facts,
                "at": int(letter.failed_at.timestamp() * 1_000_000),
                "state": str(resolution.state),
                "resolved_at": resolution.at or None,
                "resolved_by": resolution.actor or None,
                "headers": [asdict(header) for header in headers_of(entry)],
                "first_bytes": (entry.raw.value or b"")[:DUMPED_BYTES].hex(),
            }
        )

    async def replay(self, request: Request, _stores: Stores, visitor: Visitor) -> Response:
        """Send dead letters back to where they came from."""
        found = await read_change(request, visitor)
        again = found.get("again", False)
        attempts = found.get("max_attempts", 3)
        if not isinstance(again, bool) or isinstance(attempts, bool) or not isinstance(attempts, int):
            raise BadQuestion("again is true or false, max_attempts a whole number")
        rules = ReplayRules(max_attempts=check_attempts(str(attempts)), again=again)
        return _outcomes(await self._all.replay(_places(found), rules, visitor.person.name))

    async def park(self, request: Request, _stores: Stores, visitor: Visitor) -> Response:
        """Set dead letters aside."""
        found = await read_change(request, visitor)
        return _outcomes(await self._all.park(_places(found), visitor.person.name))


def _places(found: dict[str, Any]) -> Sequence[str]:
    places = found.get("places")
    if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
        raise BadQuestion('places is a list of texts, as ["0/17"]')
    return check_places(places)


def _outcomes(outcomes: Sequence[Outcome]) -> Response:
    rows = [{"place": each.place, "key": each.key, "refused": each.refused or None} for each in outcomes]
    return JSONResponse({"done": sum(not each.refused for each in outcomes), "outcomes": rows})


def _listed(letter: Listed) -> dict[str, Any]:
    resolution = letter.resolution
    facts = {name: value for name, value in asdict(letter).items() if name != "resolution"}
    return {**facts, "state": str(resolution.state), "resolved_by": resolution.actor or None}


def describe(root: str) -> Schema:
    """Return the paths of dead letters below this address."""
    places = {"places": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": NEWEST}}
    rules = {
        "max_attempts": {**WHOLE, "minimum": 1, "maximum": LARGEST_ATTEMPTS, "default": 3},
        "again": FLAG,
    }
    outcomes = object_of({"done": COUNT, "outcomes": ROWS})
    view = [
        parameter("state", "What has become of them.", {**TEXT, "enum": list(STATES)}),
        parameter("stage", "Where they died.", TEXT),
        parameter("kind", "The class of the error.", TEXT),
        parameter("start", "How many are left out first.", {**COUNT, "maximum": NEWEST}),
    ]
    place = parameter("place", "Partition and offset, as 0/17.", WORD, required=True)
    return {
        f"{root}/dead-letters": {
            "get": get(
                f"The newest {NEWEST:,} by stage and kind of error, and {PAGE_ROWS} of those asked for.",
                view,
                object_of({"groups": ROWS, "total": COUNT, "dead_letters": ROWS, "problem": MAYBE_TEXT}),
            )
        },
        f"{root}/dead-letter": {
            "get": get(
                f"One dead letter, its headers, and its first {DUMPED_BYTES} bytes in hexadecimal.",
                [place],
                object_of(
                    {
                        "place": TEXT,
                        "at": WHOLE,
                        "reason": TEXT,
                        "state": TEXT,
                        "headers": ROWS,
                        "first_bytes": TEXT,
                    }
                ),
                404,
            )
        },
        f"{root}/dead-letters/replay": {
            "post": post(
                "Send dead letters back to the topics they came from.", object_of(places, rules), outcomes
            )
        },
        f"{root}/dead-letters/park": {
            "post": post("Set dead letters aside, where nothing expires.", object_of(places), outcomes)
        },
    }
