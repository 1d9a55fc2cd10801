"""The pages of dead letters: their groups, a list, one looked at, and what became of those that were settled."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from flumen.console.access.gate import FORM_FIELD, Visitor, check_may_change
from flumen.console.dead_letters.asked import (
    LARGEST_ATTEMPTS,
    PAGE_ROWS,
    STATES,
    check_attempts,
    check_places,
    read_view,
)
from flumen.console.dead_letters.listed import MOST_GROUPS, NEWEST, group
from flumen.console.dead_letters.service import DeadLetters
from flumen.console.dead_letters.shown import DUMPED_BYTES, headers_of, hexdump
from flumen.console.errors import BadQuestion
from flumen.console.forms import read_fields
from flumen.console.headers import IMAGE_POLICY
from flumen.console.pages import page
from flumen.console.stores import Stores
from flumen.streams.dead_letters.queue import ReplayRules

_MOST_FIELDS = PAGE_ROWS + 20
_ACTIONS = {"replay": "replayed", "park": "parked"}


class DeadLetterPages:
    """Answers with pages of these dead letters."""

    def __init__(self, dead_letters: DeadLetters) -> None:
        self._all = dead_letters

    async def many(self, request: Request, _stores: Stores, visitor: Visitor) -> Response:
        """Show the groups, and the dead letters of the view."""
        view = read_view(request.query_params)
        groups = group(self._all.known.letters(view.chosen))
        letters = view.letters(self._all.known)
        context: dict[str, Any] = {
            "view": view,
            "states": STATES,
            "groups": groups,
            "most_groups": MOST_GROUPS,
            "letters": letters[view.start : view.start + PAGE_ROWS],
            "total": len(letters),
            "page_rows": PAGE_ROWS,
            "newest": NEWEST if self._all.known.is_full else None,
            "problem": self._all.problem,
            "has_any": self._all.source.latest.said is not None,
            "largest_attempts": LARGEST_ATTEMPTS,
        }
        return page("dead_letters.html", visitor, **context)

    async def one(self, request: Request, _stores: Stores, visitor: Visitor) -> Response:
        """Show one dead letter: what is known of it, its headers, the first of its bytes."""
        entry = await self._all.get(read_place(request))
        content = entry.raw.value or b""
        context: dict[str, Any] = {
            "letter": entry.dead_letter,
            "at": int(entry.dead_letter.failed_at.timestamp() * 1_000_000),
            "resolution": entry.resolution,
            "headers": headers_of(entry),
            "all_headers": len(entry.raw.headers),
            "has_value": entry.raw.value is not None,
            "dump": hexdump(content[:DUMPED_BYTES]),
            "is_dumped_whole": len(content) <= DUMPED_BYTES,
            "largest_attempts": LARGEST_ATTEMPTS,
        }
        return page("dead_letter.html", visitor, **context)

    async def content(self, request: Request, _stores: Stores, _visitor: Visitor) -> Response:
        """Send the bytes of a dead letter, as a file that no browser shows."""
        entry = await self._all.get(read_place(request))
        if entry.raw.value is None:
            raise BadQuestion(
                "this dead letter has no bytes: it was a tombstone, or too large for a dead letter"
            )
        headers = {
            "content-security-policy": IMAGE_POLICY,
            "content-disposition": 'attachment; filename="dead-letter.bin"',
        }
        return Response(entry.raw.value, 200, headers, "application/octet-stream")

    async def settle(self, request: Request, _stores: Stores, visitor: Visitor) -> Response:
        """Replay or park those that were chosen, or all of the view that the form stands in; show what came of it."""
        fields = await read_fields(request, _MOST_FIELDS)
        form = dict(fields)
        check_may_change(visitor, form.get(FORM_FIELD, ""))
        action = form.get("action", "")
        what, _, how_many = action.partition("-")
        if what not in _ACTIONS or how_many not in {"", "all"}:
            raise BadQuestion("say what is to be done: replay or park")
        places = [value for name, value in fields if name == "place"]
        view = read_view(request.query_params)
        if how_many:
            places = [letter.place for letter in view.letters(self._all.known)]
        check_places(places)
        by = visitor.person.name
        if what == "park":
            outcomes = await self._all.park(places, by)
        else:
            rules = ReplayRules(
                max_attempts=check_attempts(form.get("max_attempts", "")),
                again=form.get("again", "") == "yes",
            )
            outcomes = await self._all.replay(places, rules, by)
        done = sum(not outcome.refused for outcome in outcomes)
        return page(
            "dead_letters_settled.html", visitor, outcomes=outcomes, done=done, what=_ACTIONS[what], view=view
        )


def read_place(request: Request) -> str:
    """Read which dead letter is meant.

    Raises:
        BadQuestion: none is.
    """
    place = request.query_params.get("place", "")
    if not place:
        raise BadQuestion("say which dead letter: ?place=PARTITION/OFFSET")
    return place
