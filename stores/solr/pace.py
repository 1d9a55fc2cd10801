"""How soon a document is to be visible: at once at rest, and the later the more of them come.

Each commit opens a new view of the index: a piece of its own, which is merged with others later. What that costs a
document falls with the documents that share it.
"""

import math
import time
from collections.abc import Callable

_MS_FOR_EACH = 1.0
"""By how much later a commit may be for each document a second: by a second for a thousand."""
_REMEMBERED_S = 2.0
"""The rate is that of about so long."""


class CommitPace:
    """The time until a commit, by the rate of documents: `at_rest_ms` at least, `under_load_ms` at most."""

    def __init__(
        self, at_rest_ms: int, under_load_ms: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._at_rest_ms = at_rest_ms
        self._under_load_ms = max(at_rest_ms, under_load_ms)
        self._clock = clock
        self._recent = 0.0
        self._looked_at = clock()

    def within_ms(self, documents: int) -> int:
        """Return the milliseconds within which so many documents, which come now, are to be visible.

        Asked once for a batch, however many requests carry it: Solr commits what it has at the earliest of the times
        that it was told, so the first of them would bring about a commit for a part of the batch.
        """
        now = self._clock()
        self._recent *= math.exp((self._looked_at - now) / _REMEMBERED_S)
        self._recent += documents
        self._looked_at = now
        wanted_ms = round(_MS_FOR_EACH * self._recent / _REMEMBERED_S)
        return min(max(self._at_rest_ms, wanted_ms), self._under_load_ms)
