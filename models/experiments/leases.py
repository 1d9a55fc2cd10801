"""Telling whether a claim is over, by the clock of whoever watches it."""

from collections.abc import Callable, Hashable

from flumen.models.experiments.claimant import parse_claimant


class Leases:
    """The claims that one process watches.

    A claim is over where its holder is known to have ended, and where its `beat` has not changed for as long as its
    lease says, from when it was first seen here: so it does not matter what the clocks of two machines show.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[Hashable, tuple[int, float]] = {}

    def is_over(self, claim: Hashable, claimed_by: str, beat: int, lease_s: float) -> bool:
        """Look at a claim, by what identifies it."""
        holder = parse_claimant(claimed_by)
        if holder is not None and holder.has_ended():
            return True
        now = self._clock()
        seen, since = self._seen.get(claim, (-1, now))
        if seen != beat:
            self._seen[claim] = (beat, now)
            return False
        return now - since > lease_s
