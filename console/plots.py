"""Plots as SVG, written by the server: how values spread, and where images were taken. Each has a table behind it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from flumen.console.images.asked import View
from flumen.console.images.bounds import RANGES, TIMES, Bounds, write_bound
from flumen.stores.solr.spans import WORLD, Box, Heat, Spread

_HEIGHT = 40
_BAR = 10
_LINES_DEGREES = 30
_STEPS = 5
_TABLE_ROWS = 20
_EXPONENTS_FROM = 10_000


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a histogram: its bounds as fields of forms have them, its count, and the view that it leads to."""

    low: str
    high: str
    count: int
    chosen: bool
    view: View


@dataclass(frozen=True, slots=True)
class Range:
    """A column that can be bounded: its fields, and how its values spread."""

    name: str
    title: str
    is_time: bool
    low: str
    high: str
    least: str
    greatest: str
    bars: Sequence[Bar]

    @property
    def is_chosen(self) -> bool:
        """Whether it has a bound."""
        return bool(self.low or self.high)


def range_of(spread: Spread, view: View) -> Range:
    """Return what is shown of a column that can be bounded."""
    name = spread.column.name
    written: Callable[[float | None], str] = partial(write_bound, name)
    chosen = view.of(name)
    bars = []
    for count, low, high in zip(spread.counts, spread.edges, spread.edges[1:], strict=False):
        inside = (chosen.low is None or high >= chosen.low) and (chosen.high is None or low <= chosen.high)
        bars.append(Bar(written(low), written(high), count, inside, view.between(Bounds(name, low, high))))
    return Range(
        name,
        RANGES[name],
        name in TIMES,
        written(chosen.low),
        written(chosen.high),
        _brief(name, spread.low),
        _brief(name, spread.high),
        bars,
    )


def _brief(name: str, value: float) -> str:
    if not isinstance(value, float):
        return write_bound(name, value)
    return f"{value:.4g}" if abs(value) < _EXPONENTS_FROM else f"{value:.0f}"


def histogram(shown: Range) -> Markup:
    """Draw the bars of a range; a click on one chooses its bounds. For keyboards, there is the table."""
    most = max((bar.count for bar in shown.bars), default=0) or 1
    drawn = Markup("").join(
        Markup(
            '<a href="/images{}" tabindex="-1" data-low="{}" data-high="{}"{}><title>{} to {}: {}</title>'
            '<rect class="hit" x="{}" width="{}" height="{}"/><rect x="{}" y="{}" width="{}" height="{}"/></a>'
        ).format(
            bar.view.address,
            bar.low,
            bar.high,
            Markup("") if bar.chosen else Markup(' class="out"'),
            bar.low,
            bar.high,
            f"{bar.count:,}",
            at * _BAR,
            _BAR,
            _HEIGHT,
            at * _BAR,
            f"{_HEIGHT - _tall(bar.count, most):.2f}",
            _BAR - 1,
            f"{_tall(bar.count, most):.2f}",
        )
        for at, bar in enumerate(shown.bars)
    )
    drawing = '<svg class="spread" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    return Markup(drawing).format(len(shown.bars) * _BAR, _HEIGHT, drawn)  # noqa: S704


def _tall(count: int, most: int) -> float:
    # What is there at all can be seen.
    return max(1.5, _HEIGHT * count / most) if count else 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """A cell of the map that has images, and the view that it leads to."""

    box: Box
    count: int
    view: View

    @property
    def name(self) -> str:
        """Where it is, in words."""
        return f"{_latitude((self.box.south + self.box.north) / 2)}, {_longitude((self.box.west + self.box.east) / 2)}"


def places_of(heat: Heat, view: View) -> list[Place]:
    """Return the cells that have images, those with the most first."""
    places = [Place(box, count, view.within(_on_earth(box))) for box, count in heat.cells]
    return sorted(places, key=lambda place: -place.count)


def heat_map(heat: Heat, places: Sequence[Place]) -> Markup:
    """Draw where images were taken: cells in five steps of counts, on a grid of degrees; a click on one enlarges it."""
    area = heat.box
    most = max((place.count for place in places), default=1)
    cells = Markup("").join(
        Markup(
            '<a href="/images{}" tabindex="-1" class="heat{}"><title>{}: {}</title>'
            '<rect x="{}" y="{}" width="{}" height="{}"/></a>'
        ).format(
            place.view.address,
            _step(place.count, most),
            place.name,
            f"{place.count:,}",
            f"{place.box.west:.6f}",
            f"{-place.box.north:.6f}",
            f"{place.box.east - place.box.west:.6f}",
            f"{place.box.north - place.box.south:.6f}",
        )
        for place in places
    )
    width, height = area.east - area.west, area.north - area.south
    lines = Markup("").join(
        Markup('<path class="{}" d="{}"/>').format("axis" if at == 0 else "line", path)
        for at, path in _lines(area)
    )
    drawing = (
        '<svg class="world" viewBox="{} {} {} {}" aria-hidden="true">'
        '<rect class="sea" x="{}" y="{}" width="{}" height="{}"/>{}{}</svg>'
    )
    corner = (f"{area.west:.6f}", f"{-area.north:.6f}", f"{width:.6f}", f"{height:.6f}")
    return Markup(drawing).format(*corner, *corner, lines, cells)  # noqa: S704


def legend(places: Sequence[Place]) -> list[tuple[int, str]]:
    """Return the steps of the map's colours with the counts that they stand for."""
    most = max((place.count for place in places), default=1)
    found: dict[int, list[int]] = {}
    for place in places:
        found.setdefault(_step(place.count, most), []).append(place.count)
    return [
        (step, f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}")
        for step, counts in sorted(found.items())
    ]


def table_of(places: Sequence[Place]) -> Sequence[Place]:
    """Return the places of the table behind the map."""
    return places[:_TABLE_ROWS]


def _lines(area: Box) -> list[tuple[int, str]]:
    east = range(-180, 181, _LINES_DEGREES)
    north = range(-90, 91, _LINES_DEGREES)
    upright = [(at, f"M{at} {-area.north}V{-area.south}") for at in east if area.west <= at <= area.east]
    level = [(at, f"M{area.west} {-at}H{area.east}") for at in north if area.south <= at <= area.north]
    return upright + level


def _step(count: int, most: int) -> int:
    # Cells differ by orders of magnitude: equal steps of the logarithm.
    return min(_STEPS - 1, int(_STEPS * (count.bit_length() - 1) / most.bit_length()))


def _on_earth(box: Box) -> Box:
    return Box(
        max(box.west, WORLD.west),
        max(box.south, WORLD.south),
        min(box.east, WORLD.east),
        min(box.north, WORLD.north),
    )


def _latitude(degrees: float) -> str:
    return f"{abs(degrees):.3g}° {'N' if degrees >= 0 else 'S'}"


def _longitude(degrees: float) -> str:
    return f"{abs(degrees):.4g}° {'E' if degrees >= 0 else 'W'}"
