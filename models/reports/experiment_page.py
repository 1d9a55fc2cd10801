"""The report of an experiment, as a page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flumen.models.errors import RunNotFound
from flumen.models.experiments.java_double import java_double
from flumen.models.experiments.run import STATES, Run
from flumen.models.experiments.run_store import RunStore
from flumen.models.experiments.setting import RATE
from flumen.models.reports.experiment_plots import (
    TONES,
    Group,
    RunKey,
    curves_plots,
    grid_plot,
    groups_of,
    key_of,
    rates_plot,
)
from flumen.models.reports.markup import Markup, element, joined, outside, shortened
from flumen.models.reports.page import page, section
from flumen.models.reports.plot import Cell, Number, Plot, Table, figure, filtered, table

CHOSEN = 5
"""Learning curves that stand out at first."""

MOST_CURVES = 40
"""Runs of an experiment whose learning curves are shown, the best first."""

MOST_GROUPS = 12
"""Grids that a page shows; the table has all runs."""

MOST_LINES = 40
"""Rates, or seeds, of a grid."""

MOST_SHOWN = 20
"""Runs that a notebook shows."""

_COLUMNS = ("run", "outputs", "seed", "rate", "state", "accuracy", "tested", "precision", "recall", "F1")


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """What a page is made of. `runs`: the best first; of some of them, `curves` are known."""

    name: str
    runs: Sequence[Run]

    def plots(self) -> list[Plot]:
        """Return all plots of the page."""
        return self._plots({})

    def linked_plots(self) -> list[Plot]:
        """Return all plots of the page, whose cells lead to the rows of `runs_table`."""
        return self._plots(self._places())

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the best runs."""
        heads = ("run", "accuracy", "tested", "seconds", "model")
        shown = table(Table(heads, [_brief(run) for run in self.runs[:MOST_SHOWN]]))
        return str(joined(element("p", outside(f"{len(self.runs):,} runs of {self.name}")), shown))

    def html(self) -> str:
        """Return the page, as it is to be written in UTF-8."""
        places = self._places()
        parts = [self._header()]
        titles = []
        if groups := self._groups():
            parts.append(section("grid", "Rate and seed", *(_beside(group, places) for group in groups)))
            titles.append(("grid", "Rate and seed"))
        with_curves = self._with_curves()
        if with_curves:
            drawn = (figure(plot, "large") for plot in curves_plots(with_curves, CHOSEN))
            parts.append(section("curves", "How they learnt", element("div", *drawn, class_="sides")))
            titles.append(("curves", "How they learnt"))
        parts.append(section("runs", "Runs", self._runs(places)))
        return page(f"Experiment {self.name}", parts, [*titles, ("runs", "Runs")])

    def runs_table(self) -> Markup:
        """Return the runs, to be filtered and sorted, the best first."""
        return self._runs(self._places())

    def _plots(self, places: Mapping[RunKey, str]) -> list[Plot]:
        plots = [plot for group in self._groups() for plot in _plots_of(group, places)]
        return [*plots, *curves_plots(self._with_curves(), CHOSEN)]

    def _places(self) -> dict[RunKey, str]:
        return {key_of(run): f"run-{number}" for number, run in enumerate(self.runs)}

    def _groups(self) -> list[Group]:
        return groups_of(self.runs)[:MOST_GROUPS]

    def _with_curves(self) -> list[Run]:
        return [
            run
            for run in self.runs
            if any(one.accuracy is not None or one.loss is not None for one in run.curves)
        ]

    def _header(self) -> Markup:
        counts = Counter(run.state for run in self.runs)
        states = ", ".join(f"{counts[state]:,} {state}" for state in STATES if counts[state])
        best = next((run for run in self.runs if run.accuracy is not None), None)
        facts = [("runs", f"{len(self.runs):,}: {states}")]
        if best is not None:
            facts.append(("best", f"{best.run_id}: {best.accuracy:.4f}"))
            facts += [("its model", best.reference)] if best.reference else []
        seconds = sum(run.duration_s or 0 for run in self.runs)
        facts += [
            ("trainer", ", ".join(sorted({run.trainer for run in self.runs}))),
            *((name, f"{value}") for name, value in _common(self.runs).items()),
            ("time of all runs", f"{seconds:,.0f} s"),
            *(("data's sha256", sha256) for sha256 in sorted({run.data_sha256 for run in self.runs})),
        ]
        pairs = (joined(element("dt", outside(name)), element("dd", outside(value))) for name, value in facts)
        said = "Accuracy is that on the validation part, or where there is none on the test images."
        return element(
            "header",
            element("h1", "Experiment ", outside(self.name)),
            element("dl", *pairs, class_="facts"),
            element("p", said, class_="note"),
        )

    def _runs(self, places: Mapping[RunKey, str]) -> Markup:
        curves = {key_of(run): number for number, run in enumerate(self._with_curves())}
        rows = [_row(run, places[key_of(run)], curves.get(key_of(run))) for run in self.runs]
        columns = (*_COLUMNS, "rounds", "seconds", "model", "error")
        return filtered("run-table", "Filter the runs", Table(columns, rows, sortable=True))


def experiment_report(store: RunStore, name: str) -> ExperimentReport:
    """Return the report of an experiment, with the learning curves of its best runs.

    Raises:
        RunNotFound: there is no run of it.
    """
    found = store.list(name)
    if not found:
        raise RunNotFound(
            f"there is no run of the experiment {name!r}; `flumen experiment list` shows what there is"
        )
    ranked = sorted(found, key=lambda run: (run.accuracy is None, -(run.accuracy or 0), run.run_id))
    # Only a run that is read alone comes with its curve and its error.
    whole = [each for run in ranked[:MOST_CURVES] for each in store.get(run.run_id, run.data_sha256)]
    return ExperimentReport(name, [*whole, *ranked[MOST_CURVES:]])


def _beside(group: Group, places: Mapping[RunKey, str]) -> Markup:
    return element("div", *(figure(plot, "large") for plot in _plots_of(group, places)), class_="sides")


def _plots_of(group: Group, places: Mapping[RunKey, str]) -> list[Plot]:
    """Return the grid, unless it had too many lines to be looked at, and accuracy over the rate where it is known."""
    is_grid = len(group.rates) <= MOST_LINES and len(group.seeds) <= MOST_LINES
    is_known = any(run.accuracy is not None for run in group.cells.values())
    return [
        *([grid_plot(group, places)] if is_grid else []),
        *([rates_plot(group)] if is_known else []),
    ]


def _common(runs: Sequence[Run]) -> dict[str, object]:
    """Return the parameters that are the same in all runs."""
    first = runs[0].parameters if runs else {}
    return {
        name: value for name, value in first.items() if all(run.parameters.get(name) == value for run in runs)
    }


def _brief(run: Run) -> list[Cell]:
    accuracy: Cell = run.accuracy if run.state == "done" else run.state
    tested = run.test.accuracy if run.test else None
    return [outside(run.run_id), accuracy, tested, run.duration_s, run.reference]


def _row(run: Run, place: str, curve: int | None) -> list[Cell]:
    rate, test = run.parameters.get(RATE), run.test
    name = element("span", outside(run.run_id), id=place, class_="place")
    if curve is not None:
        box = element(
            "input",
            type="checkbox",
            data_shows=curve,
            checked=curve < CHOSEN,
            aria_label=f"Curve of {shortened(run.run_id)}",
        )
        line = element("line", x1=0, x2=24, y1=5, y2=5, class_=f"run chosen tone-{curve % TONES}")
        name = element(
            "label", box, " ", element("svg", line, viewBox="0 0 24 10", class_="swatch"), " ", name
        )
    measures = (test.accuracy, test.precision, test.recall, test.f1) if test else (None,) * 4
    return [
        name,
        run.outputs,
        run.seed,
        Number(java_double(float(rate)), float(rate)) if isinstance(rate, int | float) else None,
        run.state,
        run.accuracy,
        *measures,
        run.rounds,
        None if run.duration_s is None else Number(f"{run.duration_s:,.1f}", run.duration_s),
        run.reference or "",
        run.error or "",
    ]
