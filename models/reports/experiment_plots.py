"""The plots of an experiment: accuracy by rate and seed, accuracy over the rate, learning curves."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flumen.models.experiments.java_double import java_double
from flumen.models.experiments.run import Run
from flumen.models.experiments.setting import RATE
from flumen.models.reports.axes import Axis, Field, written
from flumen.models.reports.confusion import SHADES
from flumen.models.reports.markup import Markup, element, joined, shortened
from flumen.models.reports.plot import Plot, Table

TONES = 8
"""Colours of learning curves, as the style sheet has them: `tone-0` to `tone-7`."""

_CELL, _LEFT, _TOP, _ROW = 62, 72, 46, 30
_SMALLEST_ERROR = 1e-4
"""An error below it is drawn as this: its logarithm has to be a number."""


RunKey = tuple[str, str]
"""A run's id, and the fingerprint of its data."""


def key_of(run: Run) -> RunKey:
    """Return what tells a run from all others of an experiment."""
    return run.run_id, run.data_sha256


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ in rate and seed alone: `outputs` neurons, `told` what else their ids say.

    `cells`: by rate and seed. Runs that diverged have no accuracy.
    """

    outputs: int
    told: str
    cells: Mapping[tuple[float, int], Run]

    @property
    def rates(self) -> list[float]:
        """The rates, in order."""
        return sorted({rate for rate, _ in self.cells})

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return sorted({seed for _, seed in self.cells})

    @property
    def name(self) -> str:
        """What tells it from the others, for files."""
        return f"{self.outputs}-{self.told}" if self.told else f"{self.outputs}"

    def accuracies(self, rate: float) -> list[float]:
        """Return the accuracies of a rate's runs, by seed, of those that have one."""
        found = (self.cells.get((rate, seed)) for seed in self.seeds)
        return [run.accuracy for run in found if run is not None and run.accuracy is not None]


def groups_of(runs: Sequence[Run]) -> list[Group]:
    """Put the runs that are results, and have a rate, into groups; those of one run alone are none."""
    several = len({run.data_sha256 for run in runs}) > 1
    found: dict[tuple[int, str], dict[tuple[float, int], Run]] = {}
    for run in runs:
        rate = run.parameters.get(RATE)
        if run.stands and isinstance(rate, int | float):
            data = [f"data-{run.data_sha256[:8]}"] if several else []
            told = "_".join([*run.run_id.split("_")[3:], *data])
            found.setdefault((run.outputs, told), {})[float(rate), run.seed] = run
    return [Group(*key, cells) for key, cells in sorted(found.items()) if len(cells) > 1]


def grid_plot(group: Group, places: Mapping[RunKey, str]) -> Plot:
    """Return accuracy by rate and seed as a heat map; `places` are the ids of the runs' rows on the page."""
    rates, seeds = group.rates, group.seeds
    errors = [_error(run.accuracy) for run in group.cells.values() if run.accuracy is not None] or [1.0]
    width, height = _LEFT + _CELL * (len(seeds) + 1), _TOP + _ROW * len(rates)
    parts = [
        written(_LEFT + _CELL * len(seeds) / 2, 14, "seed", "middle", "name"),
        written(_LEFT - 8, 36, "rate", "end", "name"),
    ]
    for column, head in enumerate([*map(str, seeds), "mean"]):
        parts.append(written(_LEFT + column * _CELL + _CELL / 2, 36, head, "middle"))
    rows: list[tuple[str | float | None, ...]] = []
    for row, rate in enumerate(rates):
        top = _TOP + row * _ROW
        parts.append(written(_LEFT - 8, top + 18, java_double(rate), "end"))
        for column, seed in enumerate(seeds):
            run = group.cells.get((rate, seed))
            if run is None:
                continue
            said = f"rate {java_double(rate)}, seed {seed}: {_said(run)}"
            cell = joined(element("title", said), _shaded(_LEFT + column * _CELL, top, run.accuracy, errors))
            place = places.get(key_of(run))
            if place:
                at: dict[str, str | float] = {"data_row": row, "data_column": column}
                parts.append(element("a", cell, href=f"#{place}", aria_label=said, class_="cell", **at))
            else:
                parts.append(element("g", cell))
        known = group.accuracies(rate)
        mean = statistics.fmean(known) if known else None
        parts.append(_shaded(_LEFT + len(seeds) * _CELL, top, mean, errors))
        each = (group.cells.get((rate, seed)) for seed in seeds)
        rows.append((java_double(rate), *(run.accuracy if run else None for run in each), mean))
    svg = element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        role="group",
        aria_label="Accuracy by rate and seed",
        class_="plot heat",
    )
    note = "The stronger the colour, the fewer errors, by their logarithm. Empty: it diverged. A cell leads to its run."
    title = f"Accuracy by rate and seed, {group.outputs} outputs"
    columns = ("rate", *(f"seed {seed}" for seed in seeds), "mean")
    return Plot(f"grid-{group.name}", _told(title, group), svg, Table(columns, rows), note)


def rate_axis(name: str, low: float, high: float, logarithmic: bool) -> Axis:
    """Return an axis of rates, which are written as in the ids of runs."""
    # The product of a power of ten may be off by its last bit.
    return Axis(name, low, high, logarithmic, told=lambda rate: java_double(float(f"{rate:g}")))


def rates_plot(group: Group) -> Plot:
    """Return accuracy over the rate: the mean, the spread over the seeds, each run; one at least has an accuracy."""
    rates = [rate for rate in group.rates if group.accuracies(rate)]
    found = [group.accuracies(rate) for rate in rates]
    low = math.floor(10 * min(map(min, found), default=0.0)) / 10
    logarithmic = 0 < min(rates) < max(rates)
    name = "rate (logarithmic)" if logarithmic else "rate"
    field = Field(rate_axis(name, min(rates), max(rates), logarithmic), Axis("accuracy", low, 1), 400, 260)
    there = [(rate, max(each)) for rate, each in zip(rates, found, strict=True)]
    back = [(rate, min(each)) for rate, each in zip(rates, found, strict=True)][::-1]
    corners = " L".join(f"{x:g} {y:g}" for x, y in (field.at(*place) for place in there + back))
    means = [statistics.fmean(each) for each in found]
    marks = [
        element("path", d=f"M{corners} Z", class_="band"),
        field.line(list(zip(rates, means, strict=True)), "curve"),
    ]
    for rate, each in zip(rates, found, strict=True):
        marks += [_point(field, rate, value) for value in each]
    rows = [
        (
            java_double(rate),
            len(each),
            mean,
            statistics.stdev(each) if len(each) > 1 else None,
            min(each),
            max(each),
        )
        for rate, each, mean in zip(rates, found, means, strict=True)
    ]
    return Plot(
        f"rates-{group.name}",
        _told(f"Accuracy over the rate, {group.outputs} outputs", group),
        field.drawn(*marks, name="Accuracy over the rate, with the spread over the seeds"),
        Table(("rate", "runs", "mean accuracy", "standard deviation", "lowest", "highest"), rows),
        f"Line: mean of the seeds; shaded: from the lowest to the highest. {cliff_in_words(rates, means)}",
    )


def cliff_in_words(rates: Sequence[float], means: Sequence[float]) -> str:
    """Say where accuracy is best, and how far it falls at the steepest drop between two rates behind that."""
    best = max(range(len(means)), key=lambda place: (means[place], -place))
    said = f"Best at {java_double(rates[best])}: {means[best]:.4f}."
    behind = range(best, len(means) - 1)
    if not behind:
        return f"{said} There is no higher rate to see a drop at."
    steepest = max(behind, key=lambda place: means[place] - means[place + 1])
    fall = means[steepest] - means[steepest + 1]
    return (
        f"{said} The steepest drop behind it is of {100 * fall:.2f} points, from {java_double(rates[steepest])} to "
        f"{java_double(rates[steepest + 1])}."
    )


def curves_plots(runs: Sequence[Run], chosen: int) -> list[Plot]:
    """Return accuracy and loss of runs over their rounds, of what is known; the first `chosen` of them stand out."""
    accuracy = [
        [(one.number, one.accuracy) for one in run.curves if one.accuracy is not None] for run in runs
    ]
    losses = [[(one.number, one.loss) for one in run.curves if one.loss is not None] for run in runs]
    low = math.floor(10 * min((value for each in accuracy for _, value in each), default=0.0)) / 10
    high = max((value for each in losses for _, value in each), default=1.0)
    named = [
        ("curves", "Accuracy on the validation part", accuracy, Axis("accuracy, validation part", low, 1)),
        ("losses", "Loss", losses, Axis("mean loss of the round", 0, high or 1.0)),
    ]
    rows = [
        (run.run_id, one.number, one.loss, one.accuracy, one.seconds)
        for run in runs[:chosen]
        for one in run.curves
    ]
    table = Table(("run", "round", "loss", "accuracy", "seconds"), rows)
    note = "Choose runs in the table below; the best are chosen."
    plots = []
    for name, title, curves, axis in named:
        numbers = [number for each in curves for number, _ in each]
        if numbers:
            field = Field(Axis("rounds", min(numbers), max(numbers), whole=True), axis, 420, 280)
            marks = _run_lines(field, runs, curves, chosen)
            plots.append(Plot(name, title, field.drawn(*marks, name=f"{title} over the rounds"), table, note))
    return plots


def _run_lines(
    field: Field, runs: Sequence[Run], curves: Sequence[Sequence[tuple[int, float]]], chosen: int
) -> list[Markup]:
    """Return a line a run; what is drawn last lies on top: the best."""
    lines = []
    for place, (run, each) in enumerate(zip(runs, curves, strict=True)):
        class_ = f"run tone-{place % TONES}{' chosen' if place < chosen else ''}"
        line = field.line(each, class_, data_run=place)
        lines.append(element("g", element("title", shortened(run.run_id)), line))
    return lines[::-1]


def _shaded(x: float, y: float, accuracy: float | None, errors: Sequence[float]) -> Markup:
    """Return a cell in the shade of its error's logarithm between the largest and the smallest of `errors`."""
    shade = 0
    if accuracy is not None:
        most, least = math.log(max(errors)), math.log(min(errors))
        share = (most - math.log(_error(accuracy))) / (most - least) if most > least else 1.0
        shade = 1 + round((SHADES - 1) * share)
    square = element(
        "rect",
        x=x,
        y=y,
        width=_CELL - 2,
        height=_ROW - 2,
        rx=2,
        class_=f"right-{shade}" if shade else "nothing",
    )
    text = "" if accuracy is None else f"{accuracy:.4f}"
    return joined(square, written(x + _CELL / 2 - 1, y + 18, text, "middle", f"count right-{shade}-text"))


def _error(accuracy: float) -> float:
    return max(1 - accuracy, _SMALLEST_ERROR)


def _said(run: Run) -> str:
    return run.state if run.accuracy is None else f"{run.accuracy:.4f}"


def _told(title: str, group: Group) -> str:
    return f"{title}, {group.told}" if group.told else title


def _point(field: Field, rate: float, value: float) -> Markup:
    x, y = field.at(rate, value)
    said = f"rate {java_double(rate)}: {value:.4f}"
    return element("g", element("title", said), element("circle", cx=x, cy=y, r=3, class_="point"))
