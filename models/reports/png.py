"""Plots as PNG, drawn from the SVG of the page: no browser is needed."""

from flumen.models.reports.page import style_sheet
from flumen.models.reports.plot import Plot

SCALE = 3
"""Pixels a unit of a plot's view box."""

_VALUES = {
    "ground": "#ffffff",
    "raised": "#f5f6f8",
    "ink": "#1b1f24",
    "quiet": "#57606a",
    "line": "#d5d9df",
    "accent": "#0a5ea8",
    "second": "#b84a00",
}


def png(plot: Plot) -> bytes:
    """Return a plot as PNG, on white."""
    from resvg_py import svg_to_bytes

    style = style_sheet()
    for name, value in _VALUES.items():
        style = style.replace(f"var(--{name})", value)
    return bytes(
        svg_to_bytes(
            svg_string=plot.svg,
            style_sheet=style,
            background="#ffffff",
            zoom=SCALE,
            font_family="DejaVu Sans",
        )
    )
