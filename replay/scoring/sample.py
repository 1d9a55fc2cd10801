"""A sample of images by their ids: those whose hash is smallest. So it is the same whoever draws it."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

IDS_A_SCAN = 1000
ID_BYTES_A_SCAN = 24 * 1024
"""As many ids, and bytes of ids, as one scan names: a token that names them has to fit in one cell."""


class Sample:
    """Draws `size` of the ids that it is shown, in memory for as many."""

    def __init__(self, size: int) -> None:
        self._size = size
        # The largest hash stands first, as the one that has to go.
        self._kept: list[tuple[int, str]] = []

    def show(self, ids: Iterable[str]) -> None:
        """Draw from these as well."""
        for image_id in ids:
            drawn = (-_hash(image_id), image_id)
            if len(self._kept) < self._size:
                heapq.heappush(self._kept, drawn)
            elif drawn > self._kept[0]:
                heapq.heapreplace(self._kept, drawn)

    @property
    def ids(self) -> list[str]:
        """What was drawn, sorted."""
        return sorted(image_id for _, image_id in self._kept)


def groups(ids: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield ids, in order, so many at once as one scan names; an id that is longer stands alone."""
    group: list[str] = []
    size = 0
    for image_id in ids:
        needed = len(image_id.encode())
        if group and (len(group) == IDS_A_SCAN or size + needed > ID_BYTES_A_SCAN):
            yield tuple(group)
            group, size = [], 0
        group.append(image_id)
        size += needed
    if group:
        yield tuple(group)


def _hash(image_id: str) -> int:
    return int.from_bytes(blake2b(image_id.encode(), digest_size=8).digest())
