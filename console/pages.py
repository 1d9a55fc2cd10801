"""Pages: templates that escape whatever stands in them, and how values are shown to people."""

import unicodedata
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from flumen.console.access.gate import FORM_FIELD, Visitor
from flumen.console.times import microseconds
from flumen.interceptor import Column, Kind

LONGEST_SHOWN = 300
"""Characters of a value that are shown at once; the rest opens."""

SHORT = 80
"""Characters where a value is a link."""


def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("flumen.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(
        outside=outside,
        visible=visible,
        short=short,
        long=long,
        value=value,
        time=time,
        number=number,
        percent=percent,
        microseconds=microseconds,
    )
    found.globals["form_field"] = FORM_FIELD
    return found


def page(template: str, visitor: Visitor | None, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a page, for whoever asks."""
    text = _TEMPLATES.get_template(template).render(visitor=visitor, **context)
    # What Kafka brought may hold half a character; no page can.
    return HTMLResponse(text.encode("utf-8", "replace"), status)


def outside(text: object) -> Markup:
    """Return a text that came from outside: signs that are not seen are shown, and its direction ends with it."""
    return Markup("<bdi>{}</bdi>").format(visible(text))


def visible(text: object) -> str:
    """Return a text from outside with the signs shown that are not seen: for places that take no element."""
    return "".join(map(_visible, str(text)))


def short(text: object) -> Markup:
    """Return the start of a text from outside."""
    whole = str(text)
    return outside(whole if len(whole) <= SHORT else whole[:SHORT] + "…")


def long(text: object) -> Markup:
    """Return a text from outside, whose end opens where it is long."""
    whole = str(text)
    if len(whole) <= LONGEST_SHOWN:
        return outside(whole)
    start = outside(whole[:LONGEST_SHOWN] + "…")
    summary = Markup("<summary>{}</summary>").format(start)
    return Markup('<details class="long">{}{}</details>').format(summary, outside(whole))


def value(found: Any, column: Column) -> Markup | str:
    """Return the value of a column for people; it is not null."""
    if column.kind is Kind.TIMESTAMP:
        return time(found)
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, int | float):
        return str(found) if column.name in _NO_AMOUNTS else number(found)
    if column.name in _DRAWN:
        return _DRAWN[column.name](found)
    if isinstance(found, list | tuple):
        return Markup(", ").join(long(each) for each in found)
    return long(found)


def time(at_us: int) -> Markup:
    """Return a time in UTC, which scripts show as the browser's own; hovering shows UTC."""
    try:
        moment = datetime.fromtimestamp(at_us / 1_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return escape(f"{at_us} µs since 1970")
    text = f"{moment.replace(tzinfo=None).isoformat(' ', 'milliseconds')} UTC"
    at = moment.isoformat(timespec="milliseconds")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at, text, text)


def number(found: float) -> Markup:
    """Return a number, which scripts show as the browser writes numbers."""
    text = f"{found:,}" if isinstance(found, int) else f"{found:,.6g}"
    return Markup('<data value="{}">{}</data>').format(found, text)


def percent(share: float | None) -> str:
    """Return a share in per cent."""
    return "" if share is None else f"{share * 100:.2f} %"


def _visible(sign: str) -> str:
    code = ord(sign)
    if code < 0x20 or code == 0x7F:  # noqa: PLR2004 - ASCII's control characters, which Unicode has pictures for
        return "\u2421" if code == 0x7F else chr(0x2400 + code)  # noqa: PLR2004
    return "\ufffd" if unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Co", "Cn"} else sign


def _histogram(shares: Any) -> Markup:
    """Draw shares of equal ranges as bars."""
    most = max((float(share) for share in shares), default=0.0) or 1.0
    bars = Markup("").join(
        Markup('<rect x="{}" y="{}" width="9" height="{}"/>').format(
            at * 10, f"{40 - 40 * float(share) / most:.2f}", f"{40 * float(share) / most:.2f}"
        )
        for at, share in enumerate(shares)
    )
    text = ", ".join(f"{float(share):.1%}" for share in shares)
    drawing = '<svg class="histogram" viewBox="0 0 {} 40" role="img"><title>{}</title>{}</svg>'
    return Markup(drawing).format(len(shares) * 10, f"From dark to bright: {text}", bars)  # noqa: S704


def _palette(colours: Any) -> Markup:
    """Show colours as patches, with their names and shares."""
    return Markup(" ").join(
        Markup(
            '<span class="patch"><svg viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" fill="{}"/>'
            "</svg> {} {}</span>"
        ).format(each["color"], outside(each["name"]), percent(each["share"]))
        for each in colours
    )


_DRAWN = {"luminance_histogram": _histogram, "palette": _palette}
"""Columns of flumen's own step `statistics` that are better looked at than read."""

_NO_AMOUNTS = {
    "perceptual_hash",
    "kafka_partition",
    "kafka_offset",
    "control_revision",
    "model_version",
    "knownlabel",
    "prediction",
}
"""Numbers that are names: they have no thousands."""

_TEMPLATES = _environment()
