"""An impact in a few sentences."""

from collections.abc import Sequence

from flumen.models.evaluation.comparison import Comparison
from flumen.replay.impact.measuring import Impact

LEVEL = 0.05
"""A slice, or a difference, whose p-value is below it is more than chance."""


def verdict(old: str, new: str, impact: Impact) -> Sequence[str]:
    """Say what would be different with the new model."""
    share = 100 * impact.agreement / impact.images
    bounds = impact.agreement_interval
    alike = (
        f"On {impact.images:,} images the models answer alike {share:.2f} times of a hundred "
        f"({100 * bounds.low:.2f} to {100 * bounds.high:.2f})."
    )
    lines = [alike]
    changed, interval = impact.would_change
    if impact.population > impact.images:
        lines.append(
            f"Had {new} run, about {changed:,} of the {impact.population:,} images would have another answer "
            f"({interval.low:,.0f} to {interval.high:,.0f})."
        )
    lines.append(_accuracy(old, new, impact))
    worse = [
        each
        for each in impact.slices
        if each.adjusted < LEVEL and each.difference is not None and each.difference < 0
    ]
    if worse:
        named = "; ".join(f"{each.column} = {each.value:.40}" for each in worse[:3])
        lines.append(f"It is worse, and not by chance, on {len(worse):,} slices: {named}.")
    return lines


def _accuracy(old: str, new: str, impact: Impact) -> str:
    if impact.comparison is None:
        return "Of none of them is a known label there that both models could have: which one is right is not known."
    return (
        f"Of {impact.labelled:,} whose label is known, {new} has {impact.new_right / impact.labelled:.4f} right, and "
        f"{old} {impact.old_right / impact.labelled:.4f}: {_difference(impact.comparison)}."
    )


def _difference(comparison: Comparison) -> str:
    points = 100 * comparison.difference
    low, high = 100 * comparison.interval.low, 100 * comparison.interval.high
    by_chance = "this may be chance" if comparison.p_value >= LEVEL else "this is not chance"
    return (
        f"{points:+.2f} points ({low:+.2f} to {high:+.2f}, p = {comparison.p_value:.2g} by McNemar's test), "
        f"{by_chance}"
    )
