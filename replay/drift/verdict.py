"""What was found of drift, in one line."""

from datetime import UTC, datetime

from flumen.replay.drift.comparing import LEAST_IMAGES, Drift
from flumen.replay.drift.measures import ALPHA

_US = 1_000_000


def verdict(drift: Drift) -> str:
    """Return one line: how many windows have drifted, and the worst of all."""
    judged = sum(window.images >= LEAST_IMAGES for window in drift.windows)
    drifted = drift.drifted
    chance = f"{drift.comparisons:,} comparisons, {ALPHA:.0%} chance of a false alarm among all of them"
    if not drifted:
        return f"No drift: none of {judged} windows is over a threshold ({chance})."
    worst = drifted[0]
    at = datetime.fromtimestamp(worst.start / _US, UTC).strftime("%Y-%m-%d %H:%M")
    many = len({each.start for each in drifted})
    return (
        f"Drift: {many} of {judged} windows; most of all {worst.column} in that of {at} UTC, "
        f"{worst.distances.ratio:,.1f} times its threshold ({chance})."
    )
