"""A page as a whole: one file, which loads nothing and runs nothing but its own script."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from flumen.models.reports.confusion import SHADES
from flumen.models.reports.markup import Markup, element, joined, shortened

Colour = tuple[int, int, int]

_HERE = Path(__file__).parent
_LINEAR = 0.04045
"""Below it sRGB is linear."""

_WHITE, _BLACK = (255, 255, 255), (24, 27, 33)
_BLUE, _ORANGE = (0, 90, 160), (200, 78, 0)
_LIGHT_BLUE, _LIGHT_ORANGE = (110, 190, 245), (245, 165, 60)
"""Blue and orange are told apart with any of the usual kinds of colour blindness (Okabe and Ito 2008)."""


def script() -> str:
    """Return the script of pages: it sorts and filters tables, and goes through heat maps by keys."""
    return _read("page.js")


def policy() -> str:
    """Return the Content-Security-Policy of pages."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(style_sheet())}'; script-src '{_hash(script())}'; "
        "base-uri 'none'; form-action 'none'"
    )


def page(title: str, parts: Sequence[Markup], sections: Sequence[tuple[str, str]]) -> str:
    """Return a page. `sections`: the id and the title of each, for the list of contents."""
    style, own = style_sheet(), script()
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy()),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", shortened(title)),
        element("style", Markup.of(style)),
    )
    links = (element("a", name, href=f"#{place}") for place, name in sections)
    body = element(
        "body",
        element("a", "To the content", href="#content", class_="skip"),
        element("nav", *links, aria_label="Contents"),
        element("main", *parts, id="content"),
        element("script", Markup.of(own)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def section(place: str, title: str, *parts: Markup) -> Markup:
    """Return a part of a page under a heading; `place` is its id."""
    return element("section", joined(element("h2", title), *parts), id=place)


@cache
def style_sheet() -> str:
    """Return the style of pages and of plots alone, with the shades of the heat maps in light and dark."""
    return _read("page.css") + plot_style_sheet()


@cache
def plot_style_sheet() -> str:
    """Return the style of what is in plots, for a page that has its own."""
    light = _shades(_WHITE, _BLUE, "right") + _shades(_WHITE, _ORANGE, "wrong")
    dark = _shades(_BLACK, _LIGHT_BLUE, "right") + _shades(_BLACK, _LIGHT_ORANGE, "wrong")
    return f"{_read('plots.css')}{light}@media screen and (prefers-color-scheme:dark){{{dark}}}"


def _shades(ground: Colour, full: Colour, kind: str) -> str:
    """Return the rules of a heat map's shades, and of the numbers on them: of two, the ink that is told better."""
    rules = []
    for shade in range(1, SHADES + 1):
        share = 0.08 + 0.92 * shade / SHADES
        red, green, blue = (round(low + (high - low) * share) for low, high in zip(ground, full, strict=True))
        light = _luminance((red, green, blue))
        ink = "#fff" if 1.05 / (light + 0.05) > (light + 0.05) / 0.05 else "#000"
        rules.append(
            f".{kind}-{shade}{{fill:#{red:02x}{green:02x}{blue:02x}}}.plot .{kind}-{shade}-text{{fill:{ink}}}"
        )
    return "".join(rules)


def _luminance(colour: Colour) -> float:
    """Return the relative luminance of an sRGB colour, 0 to 1 (WCAG 2.2)."""
    linear = [
        part / 12.92 if part <= _LINEAR else ((part + 0.055) / 1.055) ** 2.4
        for part in (c / 255 for c in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@cache
def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
