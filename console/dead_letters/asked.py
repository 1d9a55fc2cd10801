"""What a view of the dead letters asks for, as it stands in its address, and which of them are to be settled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from flumen.console.dead_letters.listed import NEWEST, DeadLetterList, Listed
from flumen.console.errors import BadQuestion
from flumen.console.images.asked import read_number
from flumen.streams.dead_letters.resolutions import State

PAGE_ROWS = 50
LARGEST_ATTEMPTS = 100
_LONGEST = 200
STATES: Mapping[str, State | None] = {**{str(state): state for state in State}, "all": None}


@dataclass(frozen=True, slots=True)
class View:
    """A view of the dead letters: of a state (or `all`), and of one stage and kind of error where they are not None."""

    state: str = str(State.DEAD)
    stage: str | None = None
    kind: str | None = None
    start: int = 0

    @property
    def chosen(self) -> State | None:
        """The state that is asked for; None is any."""
        return STATES[self.state]

    def letters(self, known: DeadLetterList) -> list[Listed]:
        """Return all dead letters of the view, the newest first."""
        return known.letters(self.chosen, self.stage, self.kind)

    def of(self, stage: str | None, kind: str | None) -> "View":
        """Return the view of one group; of all, where both are None."""
        return replace(self, stage=stage, kind=kind, start=0)

    def in_state(self, state: str) -> "View":
        """Return the view of another state, of the same group."""
        return replace(self, state=state, start=0)

    def at(self, start: int) -> "View":
        """Return another page of it."""
        return replace(self, start=start)

    @property
    def address(self) -> str:
        """The query string of it; empty for all that are dead."""
        asked = [("state", self.state)] if self.state != State.DEAD else []
        asked += [("stage", self.stage)] if self.stage is not None else []
        asked += [("kind", self.kind)] if self.kind is not None else []
        asked += [("start", str(self.start))] if self.start else []
        return f"?{urlencode(asked, errors='replace')}" if asked else ""


def read_view(given: QueryParams) -> View:
    """Read a view from an address.

    Raises:
        BadQuestion: it asks for what there is not.
    """
    state = given.get("state", str(State.DEAD))
    if state not in STATES:
        raise BadQuestion(f"there is no state {state[:80]!r}; there are: {', '.join(STATES)}")
    stage, kind = given.get("stage"), given.get("kind")
    for text in (stage, kind):
        if text is not None and len(text) > _LONGEST:
            raise BadQuestion(f"a stage and a kind have {_LONGEST} characters at the most")
    return View(state, stage, kind, read_number(given, "start", 0, NEWEST))


def check_places(places: Sequence[str]) -> Sequence[str]:
    """Return the dead letters that are to be settled.

    Raises:
        BadQuestion: there are none, or too many.
    """
    if not places:
        raise BadQuestion("choose dead letters first: none was")
    if len(places) > NEWEST:
        raise BadQuestion(
            f"{NEWEST:,} dead letters at once at the most; `flumen dead replay --matching` takes all"
        )
    return places


def check_attempts(text: str) -> int:
    """Read how often something may have died to be replayed.

    Raises:
        BadQuestion: it is no number, or out of bounds.
    """
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= LARGEST_ATTEMPTS):
        raise BadQuestion(f"the most attempts are a whole number from 1 to {LARGEST_ATTEMPTS}")
    return int(text)
