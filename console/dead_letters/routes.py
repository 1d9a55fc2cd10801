"""Where the pages of dead letters are, and their part of the API."""

from collections.abc import Callable, Sequence

from starlette.routing import Route

from flumen.console.dead_letters.api import DeadLetterApi
from flumen.console.dead_letters.pages import DeadLetterPages
from flumen.console.dead_letters.service import DeadLetters


def dead_letter_routes(shown: Callable[..., Route], root: str, dead_letters: DeadLetters) -> Sequence[Route]:
    """Return the routes; `root` is the API's."""
    pages, api = DeadLetterPages(dead_letters), DeadLetterApi(dead_letters)
    return [
        shown("/dead-letters", pages.many),
        shown("/dead-letters", pages.settle, "POST"),
        shown("/dead-letter", pages.one),
        shown("/dead-letter/bytes", pages.content),
        shown(f"{root}/dead-letters", api.many),
        shown(f"{root}/dead-letter", api.one),
        shown(f"{root}/dead-letters/replay", api.replay, "POST"),
        shown(f"{root}/dead-letters/park", api.park, "POST"),
    ]
