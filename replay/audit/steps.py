"""How much an audit looks at in one step."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

AT_ONCE = 500
"""So many images, in memory and in one request."""

Each = TypeVar("Each")


def in_steps(several: Sequence[Each]) -> Iterator[Sequence[Each]]:
    """Yield all of them, in order, so many at once."""
    for start in range(0, len(several), AT_ONCE):
        yield several[start : start + AT_ONCE]
