"""What was found of drift, as one page that loads nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from flumen.models.reports.axes import Axis, Field
from flumen.models.reports.markup import Markup, element, shortened
from flumen.models.reports.page import page, section
from flumen.models.reports.plot import Cell, Number, Plot, Table, figure, filtered
from flumen.replay.drift.comparing import Drift, Found, estimated_accuracy
from flumen.replay.drift.counting import Counted
from flumen.replay.drift.measures import groups_of
from flumen.replay.drift.verdict import verdict

_MOST_PLOTS = 12
_MOST_ROWS = 2000
_SMALL = (360, 240)
_US = 1_000_000
_HOUR_US = 3600 * _US


def drift_page(drift: Drift, made_at: datetime) -> str:
    """Return the page, as it is to be written in UTF-8. `made_at`: now, UTC."""
    scope = drift.scope
    name = f"{scope.model}@{scope.version}"
    worst = _worst_columns(drift)
    head = element(
        "header",
        element("h1", f"Drift of {name}"),
        element("p", verdict(drift)),
        element("p", f"Against {drift.text}. {made_at:%Y-%m-%d %H:%M} UTC.", class_="note"),
    )
    parts: list[tuple[str, str, Sequence[Markup]]] = [
        ("over-time", "Over time", [_figures([_course(drift, column) for column in worst])]),
        ("values", "Values", [_figures([_values(drift, _worst_of(drift, column)) for column in worst])]),
        ("found", "Windows and columns", [filtered("all-found", "Show those with", found_table(drift))]),
        ("accuracy", "Accuracy", [figure(_accuracy_plot(drift), "middling")] if _is_known(drift) else []),
        ("left-out", "What was not compared", [_list(drift.remainders)] if drift.remainders else []),
    ]
    shown = [each for each in parts if each[2]]
    sections = [section(place, title, *content) for place, title, content in shown]
    return page(f"Drift of {name}", [head, *sections], [(place, title) for place, title, _ in shown])


def drift_plots(drift: Drift) -> dict[str, list[Plot]]:
    """Return the plots of a page, by what they are about."""
    worst = _worst_columns(drift)
    is_known = any(window.labelled or estimated_accuracy(window) for window in drift.windows)
    return {
        "Over time": [_course(drift, column) for column in worst],
        "Values": [_values(drift, _worst_of(drift, column)) for column in worst],
        "Accuracy": [_accuracy_plot(drift)] if is_known else [],
    }


def found_table(drift: Drift) -> Table:
    """Return windows and columns, the worst first, each measure with its threshold."""
    rows: list[list[Cell]] = []
    for each in drift.found[:_MOST_ROWS]:
        measures = each.distances
        cells: list[Cell] = [
            moment(each.start),
            each.column,
            "drifted" if each.drifted else "",
            Number(f"{measures.ratio:.2f}", measures.ratio),
        ]
        for distance in (measures.stability, measures.divergence, measures.largest):
            cells += [None, None] if distance is None else [distance.value, distance.threshold]
        rows.append(cells)
    heads = ["stability index", "threshold", "Jensen-Shannon", "threshold", "Kolmogorov-Smirnov", "threshold"]
    return Table(["window", "column", "verdict", "times its threshold", *heads], rows, sortable=True)


def windows_table(drift: Drift) -> Table:
    """Return the windows: images, estimated accuracy, and the true one where labels are known."""
    rows: list[list[Cell]] = []
    for window in drift.windows:
        estimate = estimated_accuracy(window)
        rows.append(
            [
                moment(window.start or 0),
                window.images,
                estimate[0] if estimate else None,
                estimate[1] if estimate else None,
                window.labelled,
                window.right / window.labelled if window.labelled else None,
            ]
        )
    return Table(["window", "images", "estimated accuracy", "plus or minus", "labelled", "accuracy"], rows)


def moment(us: int) -> str:
    """Return a window's beginning: UTC, to the minute."""
    return datetime.fromtimestamp(us / _US, UTC).strftime("%Y-%m-%d %H:%M")


def _figures(plots: Sequence[Plot]) -> Markup:
    return element("div", *(figure(plot) for plot in plots), class_="plots")


def _list(texts: Sequence[str]) -> Markup:
    return element("ul", *(element("li", shortened(text, 300)) for text in texts))


def _worst_columns(drift: Drift) -> Sequence[str]:
    return list(dict.fromkeys(each.column for each in drift.found))[:_MOST_PLOTS]


def _worst_of(drift: Drift, column: str) -> Found:
    return next(each for each in drift.found if each.column == column)


def _time_axis(drift: Drift) -> tuple[Axis, int]:
    """Return the axis of windows: hours or days since the first of them, and that."""
    starts = [window.start or 0 for window in drift.windows]
    unit, name = (_HOUR_US, "hours") if drift.scope.width_us < 24 * _HOUR_US else (24 * _HOUR_US, "days")
    last = max((starts[-1] - starts[0]) / unit, 1)
    return Axis(f"{name} since {moment(starts[0])} UTC", 0, last), unit


def _course(drift: Drift, column: str) -> Plot:
    """Return how far a column was from the reference in each window, in multiples of the threshold."""
    axis, unit = _time_axis(drift)
    first = drift.windows[0].start or 0
    found = sorted((each for each in drift.found if each.column == column), key=lambda each: each.start)
    points = [((each.start - first) / unit, each.distances.ratio) for each in found]
    field = Field(axis, Axis("times its threshold", 0, max(1.2, *(y for _, y in points))), *_SMALL)
    marks = [field.line([(axis.low, 1), (axis.high, 1)], "ideal"), field.line(points, "curve")]
    for each, point in zip(found, points, strict=True):
        x, y = field.at(*point)
        said = f"{moment(each.start)}: {each.distances.ratio:.2f}"
        marks.append(element("g", element("title", said), element("circle", cx=x, cy=y, r=3, class_="point")))
    over = sum(each.drifted for each in found)
    return Plot(
        f"drift-{column}",
        shortened(column),
        field.drawn(*marks, name=f"Drift of {column} over time"),
        Table(
            ("window", "times its threshold"), [(moment(each.start), each.distances.ratio) for each in found]
        ),
        f"{over} of {len(found)} windows are over the dashed line.",
    )


def _is_known(drift: Drift) -> bool:
    return any(window.confident or window.labelled for window in drift.windows)


def _accuracy_plot(drift: Drift) -> Plot:
    """Return the estimated accuracy of the windows (line), and the true one where there are labels (points)."""
    axis, unit = _time_axis(drift)
    first = drift.windows[0].start or 0
    estimated = [
        (((each.start or 0) - first) / unit, estimate[0])
        for each in drift.windows
        if (estimate := estimated_accuracy(each))
    ]
    true = [
        (((each.start or 0) - first) / unit, each.right / each.labelled)
        for each in drift.windows
        if each.labelled
    ]
    lowest = np.floor(10 * min(y for _, y in [*estimated, *true])) / 10
    field = Field(axis, Axis("accuracy", min(float(lowest), 0.9), 1), 420, 260)
    marks = [field.line(estimated, "curve")]
    for place, accuracy in true:
        x, y = field.at(place, accuracy)
        said = element("title", f"accuracy {accuracy:.4f}")
        marks.append(element("g", said, element("circle", cx=x, cy=y, r=3.5, class_="point")))
    return Plot(
        "accuracy",
        "Accuracy",
        field.drawn(*marks, name="Accuracy by windows"),
        windows_table(drift),
        "Line: estimated from confidence. Points: measured, where labels are known.",
    )


def _values(drift: Drift, found: Found) -> Plot:
    """Return the shares of a column's bins in the reference (line) and in its worst window (bars)."""
    column, row = drift.counted[found.column], drift.places[found.start]
    groups = groups_of(column, column.counts[0], column.counts[row])
    size = int(groups.max()) + 1
    shares = []
    for counts in (column.counts[0], column.counts[row]):
        binned = np.bincount(groups, counts, size)
        shares.append(binned / max(binned.sum(), 1))
    used = [number for number in range(size) if number in groups and (number or shares[0][0] or shares[1][0])]
    first, second = ([float(each[number]) for number in used] for each in shares)
    names = [_name_of(column, groups, number) for number in used]
    highest = max(*first, *second)
    field = Field(Axis("bin", 0, len(used), whole=True), Axis("share of the images", 0, highest), *_SMALL)
    marks: list[Markup] = []
    steps: list[tuple[float, float]] = []
    for number, (name, before, now) in enumerate(zip(names, first, second, strict=True)):
        left, top = field.at(number, now)
        right, bottom = field.at(number + 1, 0)
        said = element("title", f"{shortened(name, 40)}: {before:.3f} before, {now:.3f} now")
        bar = element(
            "rect", x=left, y=top, width=max(right - left - 2, 1), height=max(bottom - top, 0), class_="bar"
        )
        marks.append(element("g", said, bar))
        steps += [(number, before), (number + 1, before)]
    return Plot(
        f"values-{found.column}",
        shortened(found.column),
        field.drawn(*marks, field.line(steps, "curve"), name=f"Values of {found.column}"),
        Table(("bin", "reference", "window"), list(zip(names, first, second, strict=True))),
        f"Bars: {moment(found.start)} UTC. Line: the reference.",
    )


def _name_of(column: Counted, groups: NDArray[np.intp], group: int) -> str:
    """Return what a bin holds."""
    if not group:
        return "null"
    slots = np.flatnonzero(groups[1:] == group)
    if column.bounds is not None:
        return f"from {column.names[slots[0]]}"
    return column.names[slots[0]] if len(slots) == 1 else "others"
