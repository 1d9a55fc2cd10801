"""A report of an evaluation, as a person reads it in a terminal."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from flumen.cli.learning.train import print_confusion
from flumen.cli.output import console, how_many, print_rows, print_whole, printable
from flumen.models.evaluation.calibration import Reliability
from flumen.models.evaluation.comparison import Comparison
from flumen.models.evaluation.intervals import Interval
from flumen.models.evaluation.measures import ClassScore
from flumen.models.evaluation.report import Against, Report
from flumen.models.evaluation.robustness import Robustness

_SHOWN = 10
"""Mistakes and suspected labels that are shown; the report keeps more."""
_MOST_CLASSES_SHOWN = 20
_PLOT_SIGNS = 30
_CHANCE = 0.05
"""A difference that chance alone would make less often than this is called one."""


def print_report(report: Report) -> None:
    """Print all parts of a report that it has."""
    print_rows(
        list(_measures(report)),
        as_json=False,
        title=f"{report.model}@{report.version} on {report.data.description}: {report.data.images:,}",
    )
    _print_classes(report.classes)
    print_confusion(list(report.labels), [list(row) for row in report.confusion])
    if report.mistakes:
        rows = [_rounded(asdict(mistake)) for mistake in report.mistakes[:_SHOWN]]
        print_rows(rows, as_json=False, title="The most confident mistakes")
    if report.suspects:
        rows = [_rounded(asdict(suspect)) for suspect in report.suspects[:_SHOWN]]
        print_rows(rows, as_json=False, title=f"Labels that may be wrong: {report.suspected:,}")
    _print_reliability(report.reliability)
    _say(_calibration(report))
    if report.robustness is not None:
        _print_robustness(report.robustness)
    for other in report.against:
        _say(comparison_in_words(report, other))
    if report.contested:
        rows = [asdict(one) for one in report.contested[:_SHOWN]]
        print_rows(rows, as_json=False, title="Labels that these models contest")


def _print_classes(classes: Sequence[ClassScore]) -> None:
    """Print the table of the classes; of many, those that are told worst."""
    title, shown = "Each class", list(classes)
    if len(classes) > _MOST_CLASSES_SHOWN:
        shown = sorted(classes, key=lambda one: one.f1)[:_MOST_CLASSES_SHOWN]
        title = f"The {_MOST_CLASSES_SHOWN} classes of {len(classes):,} that are told worst"
    print_rows([asdict(one) for one in shown], as_json=False, title=title)


def comparison_in_words(report: Report, other: Against) -> str:
    """Return what McNemar's test says of two models, in sentences."""
    names = f"{report.model}@{report.version}", f"{other.model}@{other.version}"
    return difference_in_words(*names, other.comparison)


def difference_in_words(name: str, against: str, found: Comparison) -> str:
    """Return what McNemar's test says of two that answered to the same images, in sentences."""
    if found.only_first + found.only_second == 0:
        return f"{name} and {against} are right and wrong on the same images."
    points = f"{100 * found.difference:+.2f} points"
    between = f"95 %: {100 * found.interval.low:+.2f} to {100 * found.interval.high:+.2f}"
    which = "better" if found.difference > 0 else "worse"
    verdict = (
        f"Chance alone would seldom do that: {name} is {which}."
        if found.p_value < _CHANCE
        else "That may be chance: these images do not tell which one is better."
    )
    return (
        f"{name} alone is right on {how_many(found.only_first, 'image')}, {against} alone on {found.only_second:,}: "
        f"{points} of accuracy ({between}), p = {found.p_value:.2g} by McNemar's test. {verdict}"
    )


def _measures(report: Report) -> Iterable[dict[str, Any]]:
    measures = report.measures
    rows: list[tuple[str, float, Interval | None, str]] = [
        ("accuracy", measures.accuracy, measures.accuracy_interval, "share that is right"),
        ("precision", measures.precision, None, "as the article counts"),
        ("recall", measures.recall, None, "as the article counts"),
        ("F1", measures.f1, None, "as the article counts: of the two above"),
        ("macro F1", measures.macro_f1, measures.macro_f1_interval, "mean of the classes' F1"),
        (
            "log loss",
            measures.log_loss,
            measures.log_loss_interval,
            "0 is best; being sure and wrong costs much",
        ),
        ("Brier score", measures.brier, measures.brier_interval, "0 is best, 2 worst"),
        ("calibration error", measures.calibration_error, None, "15 bins of equal width"),
        ("  of equal mass", measures.calibration_error_equal_mass, None, "15 bins of equally many images"),
    ]
    for name, value, interval, meaning in rows:
        between = "" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"
        yield {"measure": name, "value": f"{value:.4f}", "95 % interval": between, "meaning": meaning}


def _print_reliability(reliability: Reliability) -> None:
    """Print a bar of each bin's accuracy, with a mark where it would end if the model were as right as it is sure."""
    table = Table(title="As right as it is sure?  # accuracy, | confidence", title_justify="left")
    for name in ("confidence", "images", "sure", "right"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("0" + " " * (_PLOT_SIGNS - 1) + "1", no_wrap=True)
    for one in reliability.bins:
        bar = ["#" if sign < round(one.accuracy * _PLOT_SIGNS) else " " for sign in range(_PLOT_SIGNS + 1)]
        bar[round(one.confidence * _PLOT_SIGNS)] = "|"
        table.add_row(
            f"{one.low:.2f} to {one.high:.2f}",
            f"{one.images:,}",
            f"{one.confidence:.3f}",
            f"{one.accuracy:.3f}",
            "".join(bar),
        )
    print_whole(table)


def _calibration(report: Report) -> str:
    error, by_chance = report.measures.calibration_error, report.measures.calibration_error_by_chance
    images = how_many(report.data.images, "image")
    said = f"Its confidence is off by {100 * error:.2f} points on average; with {images}, "
    if error <= by_chance:
        return f"{said}up to {100 * by_chance:.2f} is chance: it may be as sure as it is."
    return f"{said}chance explains {100 * by_chance:.2f} at most: take its confidence with care."


def _print_robustness(robustness: Robustness) -> None:
    """Print the accuracy at each step of each disturbance, with the step's own number above it."""
    _say(
        f"Accuracy on {how_many(robustness.images, 'image')}: {robustness.undisturbed:.3f} as they are "
        f"(95 %: {robustness.interval.low:.3f} to {robustness.interval.high:.3f}), {robustness.mean:.3f} on average "
        "over all of this:"
    )
    most = max(len(curve.points) for curve in robustness.curves)
    table = Table()
    table.add_column("")
    table.add_column("mean", justify="right")
    for number in range(1, most + 1):
        table.add_column(f"step {number}", justify="right")
    for curve in robustness.curves:
        name = Text(curve.disturbance)
        name.append(f"\n{curve.unit}", style="dim")
        cells = []
        for point in curve.points:
            cell = Text(f"{point.accuracy:.3f}")
            cell.append(f"\n{point.step:g}", style="dim")
            cells.append(cell)
        table.add_row(name, f"{curve.mean:.3f}", *cells)
    print_whole(table)


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: f"{value:.4f}" if isinstance(value, float) else value for name, value in row.items()}


def _say(text: str) -> None:
    console.print(printable(text), markup=False, highlight=False)
