"""The frame of a plot: scales, ticks, names of the axes with their units."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flumen.models.reports.markup import Markup, element, joined, shortened

LEFT, RIGHT, TOP, BOTTOM = 54, 12, 12, 40
"""Room around the field of a plot for what is written beside it, in units of its view box."""

_TICKS_WANTED = 5
_FEWEST_TICKS = 3


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high`, by their logarithm or as they are; `name` says what they are, with the unit.

    `whole`: there is nothing between whole numbers, so no tick either. `told`: how the number of a tick is written.
    """

    name: str
    low: float
    high: float
    logarithmic: bool = False
    whole: bool = False
    told: Callable[[float], str] = "{:g}".format

    def share(self, value: float) -> float:
        """Return where a value lies between the ends, 0 to 1."""
        if self.logarithmic:
            low, high, value = math.log10(self.low), math.log10(self.high), math.log10(value)
        else:
            low, high = self.low, self.high
        return (value - low) / (high - low) if high > low else 0.5

    def ticks(self) -> list[float]:
        """Return round values between the ends: powers of ten, else 1, 2 or 5 times such a power, about five."""
        if self.logarithmic:
            return self._logarithmic_ticks()
        if self.high <= self.low:
            return [self.low]
        rough = (self.high - self.low) / _TICKS_WANTED
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        ticks = [number * step for number in range(first, last + 1)]
        return [tick for tick in ticks if round(tick, 9).is_integer()] if self.whole else ticks

    def _logarithmic_ticks(self) -> list[float]:
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for times in ((1,), (1, 2, 5)):
            values = [each * 10.0**power for power in powers for each in times]
            ticks = [value for value in values if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)]
            if len(ticks) >= _FEWEST_TICKS:
                return ticks
        return ticks or [self.low, self.high]


@dataclass(frozen=True, slots=True)
class Field:
    """A plot of `width` x `height`, with what is written around its field."""

    x: Axis
    y: Axis
    width: int = 360
    height: int = 260

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point lies in the view box."""
        across, up = self.x.share(x), self.y.share(y)
        return (
            round(LEFT + across * (self.width - LEFT - RIGHT), 2),
            round(TOP + (1 - up) * (self.height - TOP - BOTTOM), 2),
        )

    def line(self, points: Sequence[tuple[float, float]], class_: str, **attributes: str | float) -> Markup:
        """Return a line through points; `attributes` are those of its element beside its class."""
        places = (self.at(*point) for point in points)
        return element(
            "polyline", points=" ".join(f"{x:g},{y:g}" for x, y in places), class_=class_, **attributes
        )

    def drawn(self, *marks: Markup, name: str) -> Markup:
        """Return the plot with these marks in its field; `name` is what it is called to those who cannot see it."""
        size: dict[str, str | float] = {"viewBox": f"0 0 {self.width} {self.height}", "role": "img"}
        return element(
            "svg",
            element("title", shortened(name)),
            self._grid(),
            *marks,
            xmlns="http://www.w3.org/2000/svg",
            class_="plot",
            **size,
        )

    def _grid(self) -> Markup:
        right, bottom = self.width - RIGHT, self.height - BOTTOM
        parts: list[Markup] = []
        for tick in self.x.ticks():
            x, _ = self.at(tick, self.y.low)
            parts.append(element("line", x1=x, x2=x, y1=TOP, y2=bottom, class_="grid"))
            parts.append(written(x, bottom + 14, self.x.told(tick), "middle"))
        for tick in self.y.ticks():
            _, y = self.at(self.x.low, tick)
            parts.append(element("line", x1=LEFT, x2=right, y1=y, y2=y, class_="grid"))
            parts.append(written(LEFT - 6, y + 4, self.y.told(tick), "end"))
        parts.append(written((LEFT + right) / 2, self.height - 8, self.x.name, "middle", "name"))
        middle = (TOP + bottom) / 2
        turned = element(
            "text",
            shortened(self.y.name),
            x=12,
            y=middle,
            text_anchor="middle",
            class_="name",
            transform=f"rotate(-90 12 {middle:g})",
        )
        return joined(*parts, turned)


def written(x: float, y: float, text: str, anchor: str, class_: str = "tick") -> Markup:
    """Return a text at a place; `anchor` is start, middle or end."""
    return element("text", shortened(text), x=round(x, 2), y=round(y, 2), text_anchor=anchor, class_=class_)
