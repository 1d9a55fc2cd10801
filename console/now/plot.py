"""Plots as SVG: curves over the last ten minutes, a line where a model was swapped. `now.js` draws them likewise."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flumen.console.now.tables import Plot

WIDTH, HEIGHT = 1000, 200
SPAN_S = 600
GAP_S = 7.0
"""A curve is broken where so long nothing was collected."""

SHOWN_EVERY = 15
"""Of the table behind a plot: a row for so many samples."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plot as it is drawn: the top of its axis, a path for each curve, and where lines for swaps stand."""

    plot: Plot
    top: float
    paths: Sequence[tuple[str, str]]
    swaps: Sequence[tuple[float, str]]
    newest: Mapping[str, Any]


def draw(plot: Plot, samples: Sequence[Mapping[str, Any]], swaps: Sequence[Mapping[str, Any]]) -> Drawn:
    """Draw a plot of samples, the oldest first; the newest one is its right edge."""
    until = samples[-1]["at"] if samples else 0
    names = [name for name, _ in plot.curves]
    top = round_up(max((sample[name] or 0 for sample in samples for name in names), default=0))
    paths = [(title, _path(name, samples, until, top)) for name, title in plot.curves]
    lines = [(_x(swap["at"], until), f"{swap['model']}: {swap['change']}") for swap in swaps]
    inside = [(x, text) for x, text in lines if 0 <= x <= WIDTH]
    return Drawn(plot, top, paths, inside, samples[-1] if samples else dict.fromkeys(names))


def round_up(value: float) -> float:
    """Return the next one of 1, 2 and 5 times a power of ten; 1 for nothing."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(float(f"{step * power:.6g}") for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def _path(name: str, samples: Sequence[Mapping[str, Any]], until: int, top: float) -> str:
    parts, before = [], None
    for sample in samples:
        value, at = sample[name], sample["at"]
        if value is None:
            before = None
            continue
        joined = before is not None and at - before <= GAP_S * 1_000_000
        y = HEIGHT - value / top * HEIGHT
        parts.append(f"{'L' if joined else 'M'}{_x(at, until):.1f} {y:.1f}")
        if not joined:
            parts.append("h.1")  # a lone point is to be seen
        before = at
    return "".join(parts)


def _x(at: int, until: int) -> float:
    return WIDTH - (until - at) / 1_000_000 / SPAN_S * WIDTH
