"""Finding the bad documents in a request that was refused because of some of them."""

from collections.abc import Callable, Sequence
from http import HTTPStatus

BAD_DOCUMENTS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE})
"""Either a document in the request is bad, or a proxy finds the request too long: smaller requests tell."""


def bad_rows(rows: Sequence[int], reason: str, send: Callable[[Sequence[int]], str | None]) -> dict[int, str]:
    """Halve a request that was refused until bad documents stand alone; the others are stored on the way.

    Args:
        rows: of the request.
        reason: why it was refused.
        send: sends a part of it; returns None where that is stored, else why it is refused.

    Returns:
        The reason for each row that is refused.
    """
    if len(rows) == 1:
        return {rows[0]: reason}
    middle = len(rows) // 2
    bad: dict[int, str] = {}
    for half in (rows[:middle], rows[middle:]):
        refused = send(half)
        if refused is not None:
            bad |= bad_rows(half, refused, send)
    return bad
