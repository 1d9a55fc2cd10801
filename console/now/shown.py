"""How the values of the tables are shown to people; `now.js` shows them likewise."""

from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from flumen.console.pages import long, number, time

_GOOD = {"up", "serving", "ready"}
_BAD = {"down", "silent", "refused", "stopped"}
_MEGABYTE = 1_000_000
_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def shown(value: Any, kind: str) -> Markup | str:
    """Return a value of a kind of column; nothing for None."""
    if value is None:
        return Markup('<span class="none">not known</span>') if kind == "bytes" else ""
    return _SHOWN.get(kind, long)(value)


def _state(value: str) -> Markup:
    look = "good" if value in _GOOD else "bad" if value in _BAD else "other"
    return Markup('<span class="state {}">{}</span>').format(look, value)


def _age(seconds: float) -> Markup:
    for size, unit in _UNITS:
        if seconds >= size:
            return number(round(seconds / size, 1)) + Markup(f" {unit}")  # noqa: S704 - a unit of ours
    return number(round(seconds, 1)) + Markup(" s")


_SHOWN: Mapping[str, Callable[[Any], Markup]] = {
    "number": number,
    "bytes": lambda value: number(round(value / _MEGABYTE)) + Markup(" MB"),
    "seconds": lambda value: number(round(value * 1000, 1)) + Markup(" ms"),
    "age": _age,
    "time": time,
    "state": _state,
}
