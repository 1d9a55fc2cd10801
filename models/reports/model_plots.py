"""The plots of one model: how it learnt, reliability, limits in the presence of changing input."""

import math
from collections.abc import Sequence

from flumen.models.evaluation.calibration import Reliability
from flumen.models.evaluation.robustness import Curve, Robustness
from flumen.models.reports.axes import Axis, Field
from flumen.models.reports.markup import Markup, element, joined
from flumen.models.reports.plot import Number, Plot, Table
from flumen.models.trainers.trainer import Progress

_SMALL = (300, 210)
_MOST_POINTS = 60
"""Rounds that have a point each; of more, a line is seen better."""


def training_plots(rounds: Sequence[Progress]) -> list[Plot]:
    """Return loss and accuracy on the validation part over the rounds of a training, of what is known."""
    losses = [(one.number, one.loss) for one in rounds if one.loss is not None]
    accuracies = [(one.number, one.accuracy) for one in rounds if one.accuracy is not None]
    highest = max((loss for _, loss in losses), default=1.0) or 1.0
    lowest = math.floor(10 * min((accuracy for _, accuracy in accuracies), default=0.0)) / 10
    named = [
        ("training-loss", "Loss", losses, Axis("mean loss of the round", 0, highest)),
        (
            "training-accuracy",
            "Accuracy on the validation part",
            accuracies,
            Axis("accuracy", min(lowest, 0.9), 1),
        ),
    ]
    return [_over_rounds(*each) for each in named if each[2]]


def _over_rounds(name: str, title: str, points: Sequence[tuple[int, float]], axis: Axis) -> Plot:
    field = Field(Axis("rounds", points[0][0], points[-1][0], whole=True), axis, 420, 260)
    marks = [field.line(points, "curve")]
    for number, value in points if len(points) <= _MOST_POINTS else points[-1:]:
        x, y = field.at(number, value)
        said = element("title", f"round {number:,}: {value:.4f}")
        marks.append(element("g", said, element("circle", cx=x, cy=y, r=3, class_="point")))
    return Plot(
        name,
        title,
        field.drawn(*marks, name=f"{title} over the rounds of training"),
        Table(("round", title.lower()), list(points)),
        f"Last: {points[-1][1]:.4f}, after {points[-1][0]:,} rounds.",
    )


def reliability_plot(reliability: Reliability) -> Plot:
    """Return how right a model is over how sure it is: a bar a bin, and where it would end if both were the same."""
    field = Field(
        Axis("confidence, mean of the bin", 0, 1), Axis("accuracy, share of the bin's images", 0, 1)
    )
    bars = []
    for one in reliability.bins:
        left, top = field.at(one.low, one.accuracy)
        right, bottom = field.at(one.high, 0)
        said = f"{one.images:,} images, sure {one.confidence:.3f}, right {one.accuracy:.3f}"
        bars.append(
            element("rect", x=left, y=top, width=max(right - left - 1, 1), height=bottom - top, class_="bar")
        )
        x, y = field.at(one.confidence, one.accuracy)
        bars.append(
            element("g", element("title", said), element("circle", cx=x, cy=y, r=3.5, class_="point"))
        )
    ideal = field.line([(0, 0), (1, 1)], "ideal")
    return Plot(
        "reliability",
        "As right as it is sure?",
        field.drawn(*bars, ideal, name="Reliability: accuracy over confidence"),
        Table(
            ("confidence above", "up to", "images", "mean confidence", "accuracy"),
            [(one.low, one.high, one.images, one.confidence, one.accuracy) for one in reliability.bins],
        ),
        f"Calibration error {reliability.error:.4f}, over bins of equal width. A point below the dashed line: surer "
        "than right.",
    )


def robustness_plots(robustness: Robustness) -> list[Plot]:
    """Return a curve for each way in which images were disturbed: accuracy over the step, with its interval."""
    return [_curve(curve, robustness) for curve in robustness.curves]


def _curve(curve: Curve, robustness: Robustness) -> Plot:
    steps = [point.step for point in curve.points]
    field = Field(Axis(curve.unit, min(steps), max(steps)), Axis("accuracy", 0, 1), *_SMALL)
    there = [(point.step, point.interval.high) for point in curve.points]
    back = [(point.step, point.interval.low) for point in reversed(curve.points)]
    corners = " L".join(f"{x:g} {y:g}" for x, y in (field.at(*place) for place in there + back))
    flat = [(min(steps), robustness.undisturbed), (max(steps), robustness.undisturbed)]
    marks: list[Markup] = [
        element("path", d=f"M{corners} Z", class_="band"),
        field.line(flat, "ideal"),
        field.line([(point.step, point.accuracy) for point in curve.points], "curve"),
    ]
    for point in curve.points:
        x, y = field.at(point.step, point.accuracy)
        said = f"{point.step:g} {curve.unit}: {point.accuracy:.3f}"
        marks.append(element("g", element("title", said), element("circle", cx=x, cy=y, r=3, class_="point")))
    return Plot(
        f"robustness-{curve.disturbance.replace(' ', '-')}",
        curve.disturbance,
        field.drawn(joined(*marks), name=f"Accuracy under {curve.disturbance}, over {curve.unit}"),
        Table(
            (curve.unit, "accuracy", "95 % from", "to"),
            [
                (Number(f"{p.step:g}", p.step), p.accuracy, p.interval.low, p.interval.high)
                for p in curve.points
            ],
        ),
        f"Mean over the steps {curve.mean:.3f}.",
    )
