"""Elements of HTML and SVG, in which whatever is not markup already is text and stays text."""

from html import escape
from typing import Self

MOST_SIGNS = 120
"""Of a text that came from outside, so much is shown."""

_WITHOUT_END = frozenset({"br", "circle", "img", "input", "line", "meta", "path", "polyline", "rect"})


class Markup(str):
    """HTML or SVG that is well formed. Only `element`, `joined` and `trusted` make it."""

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """Take a text for markup. Never one that came from outside."""
        return cls(text)


def element(name: str, /, *children: str | float, **attributes: str | float | bool | None) -> Markup:
    """Return an element; children that are no `Markup` are text, and are escaped.

    A `_` at the end of an attribute's name is left out, another one becomes `-`. An attribute that is None or False is
    left out, one that is True has no value.
    """
    said = "".join(
        f" {_name(key)}" if value is True else f' {_name(key)}="{_escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _WITHOUT_END:
        return Markup.of(f"<{name}{said}/>")
    return Markup.of(f"<{name}{said}>{joined(*children)}</{name}>")


def joined(*children: str | float) -> Markup:
    """Return these, one behind the other."""
    return Markup.of(
        "".join(child if isinstance(child, Markup) else _escaped(str(child)) for child in children)
    )


def outside(text: str) -> Markup:
    """Return a text that came from outside for HTML: cut to `MOST_SIGNS`, and without a say in what is beside it.

    `bdi` keeps marks of right-to-left within; control characters are shown as their escapes.
    """
    return element("bdi", shortened(text))


def shortened(text: str, most: int = MOST_SIGNS) -> str:
    """Return a text on one line, with control and direction characters escaped, of `most` characters and `…`."""
    cut = text[: most + 1]
    shown = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in cut)
    return shown if len(text) <= most and len(shown) <= most else f"{shown[:most]}…"


def _name(key: str) -> str:
    return key.removesuffix("_").replace("_", "-")


def _escaped(text: str) -> str:
    """Escape a text; what XML has no character for is replaced, so that a page is UTF-8 and an SVG is XML."""
    fit = "".join(sign if sign.isprintable() or sign in "\n\t" else "\ufffd" for sign in text)
    return escape(fit, quote=True)
