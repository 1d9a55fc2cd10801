"""The page of an experiment: its grids with the cliff, its runs, their curves; and what is read for it."""

import io
import re
from dataclasses import replace

import pytest
from page_read import PageRead
from PIL import Image
from typer import BadParameter

from flumen.cli.learning.report import file_name, report
from flumen.models.errors import RunNotFound
from flumen.models.experiments.java_double import java_double
from flumen.models.experiments.run import Measures, Round, Run, to_row
from flumen.models.experiments.run_store import RunStore
from flumen.models.experiments.run_table import MemoryRunTable
from flumen.models.reports.axes import Axis
from flumen.models.reports.experiment_page import (
    CHOSEN,
    MOST_CURVES,
    MOST_LINES,
    ExperimentReport,
    experiment_report,
)
from flumen.models.reports.experiment_plots import cliff_in_words, grid_plot, groups_of
from flumen.models.reports.png import png

ACCURACIES = {1e-5: 0.86, 1e-3: 0.95, 0.01: 0.98, 0.1: 0.2, 1.0: 0.1}
SEEDS = (100, 200, 300)


def made(rate: float, seed: int, outputs: int = 10) -> Run:
    diverged = (rate, seed) == (1.0, 200)
    accuracy = ACCURACIES[rate] + seed / 1e5
    measures = None if diverged else Measures(accuracy, accuracy, accuracy, accuracy)
    return Run(
        run_id=f"{outputs}_{seed}_{java_double(rate)}",
        data_sha256="d" * 64,
        experiment="table",
        trainer="network",
        outputs=outputs,
        seed=seed,
        parameters={"rate": rate, "epochs": 3},
        state="diverged" if diverged else "done",
        validation=measures,
        test=measures,
        rounds=3,
        curves=() if diverged else tuple(Round(n, 1 / n, accuracy - 0.01 / n, n) for n in (1, 2, 3)),
        error="the loss <b>was no number</b>" if diverged else None,
    )


def runs() -> list[Run]:
    return [made(rate, seed) for rate in ACCURACIES for seed in SEEDS]


def store() -> RunStore:
    table = MemoryRunTable()
    for run in runs():
        table.insert(to_row(run))
    return RunStore(table)


def test_the_grid_has_each_run_and_a_shade_that_shows_the_cliff():
    (group,) = groups_of(runs())
    plot = grid_plot(group, {})
    assert [row[0] for row in plot.table.rows] == [java_double(rate) for rate in ACCURACIES]
    assert plot.table.rows[-1][1:] == (pytest.approx(0.101), None, pytest.approx(0.103), pytest.approx(0.102))
    shades = [int(shade) for shade in re.findall(r'class="right-(\d+)"', plot.svg)]
    by_rate = [shades[:4], shades[4:8], shades[8:12], shades[12:16]]
    assert min(by_rate[2]) > max(by_rate[1]) > max(by_rate[3]) + 5
    assert plot.svg.count('class="nothing"') == 1
    assert "rate 1.0, seed 200: diverged" in plot.svg


def test_the_cliff_in_words():
    said = cliff_in_words([1e-3, 0.01, 0.1, 1.0], [0.95, 0.98, 0.2, 0.1])
    assert "Best at 0.01: 0.9800" in said
    assert "78.00 points, from 0.01 to 0.1" in said
    assert "no higher rate" in cliff_in_words([0.1], [0.9])


def test_the_best_come_first_with_their_curves_and_all_runs_are_there():
    made_page = experiment_report(store(), "table")
    assert len(made_page.runs) == len(runs()) < MOST_CURVES
    assert made_page.runs[0].run_id == "10_300_0.01"
    assert made_page.runs[0].curves == made(0.01, 300).curves
    assert made_page.runs[-1].state == "diverged"
    page = PageRead(made_page.html())
    assert page.unclosed == []
    assert len(page.scripts) == 1
    assert "<b>was no number</b>" in page.text
    boxes = [each for each in page.all("input") if each.get("type") == "checkbox"]
    drawn = [(each["data-run"], each["class"]) for each in page.all("polyline") if "data-run" in each]
    lines = {run: class_ or "" for run, class_ in drawn}
    assert len(drawn) == 2 * len(lines) == 2 * len(set(drawn))  # accuracy and loss, in the same colour
    assert {box["data-shows"] for box in boxes} == set(lines)
    assert (
        sum("checked" in box for box in boxes) == CHOSEN == sum("chosen" in each for each in lines.values())
    )
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(link["href"]).removeprefix("#") for link in page.all("a")}
    assert links <= set(ids)
    assert len([link for link in links if link.startswith("run-")]) == len(runs())


def test_runs_on_two_selections_of_images_are_two_grids():
    other = [replace(run, data_sha256="e" * 64) for run in runs()]
    groups = groups_of([*runs(), *other])
    assert [group.told for group in groups] == ["data-dddddddd", "data-eeeeeeee"]
    assert all(len(group.cells) == len(runs()) for group in groups)


@pytest.mark.parametrize("state", ["diverged", "failed", "claimed"])
def test_an_experiment_without_a_result_has_a_page(state):
    without = [replace(run, state=state, validation=None, test=None, curves=()) for run in runs()]
    page = PageRead(ExperimentReport("none", without).html())
    assert page.unclosed == []
    assert f"{len(without)} {state}" in page.text


def test_each_plot_as_png():
    plots = ExperimentReport("table", runs()).plots()
    assert [plot.name for plot in plots] == ["grid-10", "rates-10", "curves", "losses"]
    for plot in plots:
        with Image.open(io.BytesIO(png(plot))) as picture:
            assert len(picture.convert("RGB").getcolors(1_000_000) or []) > 20


def test_of_more_rates_than_can_be_looked_at_there_is_no_grid():
    many = [
        replace(made(0.01, 100), run_id=f"10_100_{n}", parameters={"rate": n / 1e3})
        for n in range(1, MOST_LINES + 2)
    ]
    assert [plot.name for plot in ExperimentReport("many", many).plots()] == ["rates-10", "curves", "losses"]


@pytest.mark.parametrize(("low", "high", "ticks"), [(1e-5, 1.0, 6), (0.0015, 0.024, 4), (0.011, 0.012, 2)])
def test_a_logarithmic_axis_has_round_ticks_within_it(low, high, ticks):
    found = Axis("rate", low, high, logarithmic=True).ticks()
    assert len(found) == ticks
    assert all(low * 0.999 <= tick <= high * 1.001 for tick in found)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1e-5, 1.0, ["1.0E-5", "1.0E-4", "0.001", "0.01", "0.1", "1.0"]),
        (1e-5, 9e-5, ["1.0E-5", "2.0E-5", "5.0E-5"]),
    ],
)
def test_rates_are_written_on_the_axis_as_they_are_elsewhere(low, high, ticks):
    runs = [
        replace(made(1e-5, 100), run_id=f"10_1_{rate}", parameters={"rate": rate}) for rate in (low, high)
    ]
    plots = {plot.name: str(plot.svg) for plot in ExperimentReport("rates", runs).plots()}
    assert re.findall(r'y="234"[^>]*>([^<]+)<', plots["rates-10"]) == ticks
    assert "e-0" not in re.sub(r"<(?!/?text|/?title)[^>]*>", "", plots["rates-10"])


def test_an_axis_of_whole_numbers_has_no_tick_between_them():
    assert Axis("rounds", 1, 3, whole=True).ticks() == [1, 2, 3]
    assert Axis("rounds", 1, 3).ticks() == [1, 1.5, 2, 2.5, 3]
    assert Axis("rounds", 0, 40, whole=True).ticks() == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "/tmp/x", ".hidden", "a\0b", "x" * 10_000, ""])
def test_no_name_leads_out_of_the_folder(hostile):
    name = file_name(hostile)
    assert 0 < len(name) <= 100
    assert not set(name) & set("/\0")
    assert not name.startswith(".")


def test_an_unknown_experiment_and_neither_or_both_are_refused():
    with pytest.raises(RunNotFound, match="'other'"):
        experiment_report(store(), "other")
    with pytest.raises(BadParameter):
        report()
    with pytest.raises(BadParameter):
        report("mnist", experiment="table")
