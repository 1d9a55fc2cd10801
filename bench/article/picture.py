"""Accuracy by rate, there and here, as an SVG that stands beside the page."""

import statistics
from collections.abc import Sequence

from bench.article import told
from bench.article.observations import Table
from flumen.models.experiments.java_double import java_double
from flumen.models.experiments.run import Run
from flumen.models.reports.axes import TOP, Axis, Field, written
from flumen.models.reports.experiment_plots import rate_axis
from flumen.models.reports.markup import Markup, element, joined

WIDTH, HEIGHT = 640, 340
_STYLE = """
:root{--ground:#fff;--ink:#1b1f24;--quiet:#57606a;--line:#d5d9df;--here:#0a5ea8;--there:#b84a00}
@media (prefers-color-scheme:dark){:root{--ground:#14171c;--ink:#e8eaed;--quiet:#a3abb5;--line:#3a414b;--here:#6ebef5;
--there:#f5a53c}}
text{font:12px system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:var(--ink)}
.tick{fill:var(--quiet);font-size:11px}.grid{stroke:var(--line)}.ground{fill:var(--ground)}
.line{fill:none;stroke-width:2}.here.line{stroke:var(--here)}.there.line{stroke:var(--there);stroke-dasharray:6 4}
.here.point{fill:var(--here)}.there.point{fill:none;stroke:var(--there);stroke-width:1.5}
.cross{stroke:var(--here);stroke-width:1.75}
"""
_NOTHING = 0.0
"""What a run without an answer counts as."""


def accuracy_by_rate(table: Table) -> Markup:
    """Draw every run, and the means of the seeds."""
    rates = sorted({*table, *told.rates()})
    field = Field(
        rate_axis("learning rate (logarithmic)", rates[0], rates[-1], True),
        Axis("accuracy", 0, 1),
        WIDTH,
        HEIGHT,
    )
    there = [(rate, told.mean(rate)) for rate in told.rates()]
    here = [
        (rate, statistics.fmean(_NOTHING if run.accuracy is None else run.accuracy for run in table[rate]))
        for rate in sorted(table)
    ]
    marks = [field.line(there, "there line"), field.line(here, "here line")]
    marks += [_ring(field, rate, accuracy) for (rate, _), accuracy in told.ACCURACY.items()]
    marks += [mark for rate in sorted(table) for mark in _runs(field, rate, table[rate])]
    svg = field.drawn(
        *marks,
        *_legend(),
        name="Accuracy by learning rate, in the article and here: it rises, and then drops",
    )
    style = joined(
        element("style", Markup.of(_STYLE)), element("rect", width="100%", height="100%", class_="ground")
    )
    head, end, rest = svg.partition("</title>")
    return Markup.of(f"{head}{end}{style}{rest}\n")


def _runs(field: Field, rate: float, runs: Sequence[Run]) -> list[Markup]:
    marks = [_point(field, rate, run) for run in runs if run.accuracy is not None]
    diverged = sum(run.accuracy is None for run in runs)
    if diverged:
        said = f"here, rate {java_double(rate)}: {diverged} of {len(runs)} diverged"
        marks.append(element("g", element("title", said), *_cross(*field.at(rate, _NOTHING))))
    return marks


def _point(field: Field, rate: float, run: Run) -> Markup:
    x, y = field.at(rate, run.accuracy or 0.0)
    said = element("title", f"here, rate {java_double(rate)}, seed {run.seed}: {run.accuracy:.4f}")
    return element("g", said, element("circle", cx=x, cy=y, r=3, class_="here point"))


def _ring(field: Field, rate: float, accuracy: float) -> Markup:
    x, y = field.at(rate, accuracy)
    said = element("title", f"there, rate {java_double(rate)}: {accuracy:.4f}")
    return element("g", said, element("circle", cx=x, cy=y, r=5, class_="there point"))


def _cross(x: float, y: float) -> list[Markup]:
    ends = ((-4, -4, 4, 4), (-4, 4, 4, -4))
    return [
        element("line", x1=x + left, y1=y + top, x2=x + right, y2=y + bottom, class_="cross")
        for left, top, right, bottom in ends
    ]


def _legend() -> list[Markup]:
    x, y = 70, TOP + 128
    rows = (
        (element("circle", cx=x, cy=y, r=5, class_="there point"), "the article; line: mean of its seeds"),
        (
            element("circle", cx=x, cy=y + 20, r=3, class_="here point"),
            "here; line: mean of the seeds",
        ),
        (joined(*_cross(x, y + 40)), "here, diverged: no answer, which counts as 0"),
    )
    return [
        joined(mark, written(x + 14, y + 4 + 20 * place, text, "start", "name"))
        for place, (mark, text) in enumerate(rows)
    ]
