"""The page on the article's results: its verdicts follow the runs, whichever way they fall out."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.article import told
from bench.article.experiments import FINER, HEADLINE, SKEW, TABLE, Computed
from bench.article.observations import (
    all_observations,
    by_rate,
    one_round,
    rises_and_drops,
    three_and_six,
    three_rounds,
    whole_rates,
)
from bench.article.page import PICTURE, TOLERANCE, Results, markdown, write_page
from bench.article.picture import accuracy_by_rate
from bench.article.skew import Skew, measure_skew
from flumen.models.datasets.dataset import Labelled, read_dataset
from flumen.models.experiments.answered import packed_answers
from flumen.models.experiments.grid import read_grid
from flumen.models.experiments.java_double import java_double
from flumen.models.experiments.run import Measures, Run
from flumen.models.repository import Repository
from flumen.models.shipped import SHIPPED

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "article.md"
IMAGES = 10_000
FINER_RATES = {0.01: 0.983, 0.02: 0.985, 0.03: 0.98}
MEANS = {1e-5: 0.861, 1e-4: 0.935, 0.001: 0.977, 0.01: 0.984}


def made(rate: float, seed: int, accuracy: float | None, mistakes: Mapping[tuple[int, int], int] = {}) -> Run:
    """A run that has the last images wrong; one without an accuracy diverged."""
    known = np.arange(IMAGES) % 10
    predicted = np.where(np.arange(IMAGES) < round(IMAGES * (accuracy or 0)), known, (known + 1) % 10)
    return Run(
        run_id=f"10_{seed}_{java_double(rate)}",
        data_sha256="d",
        outputs=10,
        seed=seed,
        parameters={"rate": rate, "batch_size": 128},
        state="done" if accuracy is not None else "diverged",
        test=Measures(accuracy, accuracy, accuracy, accuracy) if accuracy is not None else None,
        confusion=tuple((*pair, count) for pair, count in {(3, 3): 990, (3, 2): 3, **mistakes}.items()),
        answers=packed_answers(known.astype(np.uint8), predicted.astype(np.int64)),
        duration_s=20.0,
        machine="a-machine",
        ended_at=1_790_000_000_000_000,
        software={"blas": "a blas"},
    )


def table(**changed: float | None) -> list[Run]:
    """All 18 runs; `changed` are accuracies by rate and seed, as r0_01_s100."""
    accuracies: dict[tuple[float, int], float | None] = {
        (rate, seed): MEANS[rate] + seed / 1e6 if rate in MEANS else None
        for rate in told.rates()
        for seed in told.seeds()
    }
    for name, accuracy in changed.items():
        rate, _, seed = name.removeprefix("r").partition("_s")
        accuracies[float(rate.replace("_", ".")), int(seed)] = accuracy
    return [made(rate, seed, accuracy) for (rate, seed), accuracy in accuracies.items()]


def results(runs: list[Run], large: tuple[Run, ...] = ()) -> Results:
    skews = [
        Skew("grey", 3, {"grey": 0.984, "binarised": 0.964}),
        Skew("binarised", 3, {"grey": 0.939, "binarised": 0.979}),
    ]
    headline = Computed(HEADLINE, [made(0.0015, 123, 0.9815)], 1)
    finer = Computed(FINER, [made(rate, 100, accuracy) for rate, accuracy in FINER_RATES.items()], 3)
    skew = Computed(SKEW, [made(0.01, seed, 0.979) for seed in told.seeds()], 3)
    return Results(Computed(TABLE, runs, 18), headline, finer, skew, skews, large)


def test_the_article_has_18_settings_and_its_confusion_matrix_all_test_images() -> None:
    assert len(told.ACCURACY) == 18
    tested = read_dataset(ROOT / "data" / "mnist").test.labels
    assert [sum(row.values()) for row in told.CONFUSION.values()] == np.bincount(tested).tolist()


@pytest.mark.parametrize("experiment", [TABLE, HEADLINE, FINER, SKEW])
def test_every_grid_can_be_read_where_the_page_says_it_is(
    experiment: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    grid = read_grid(experiment.grid)  # type: ignore[attr-defined]
    assert grid.data.options["data"] == "data/mnist"
    assert grid.seeds


def test_what_the_article_observes_holds_of_runs_like_its_own() -> None:
    runs = by_rate(table(r0_1_s100=0.95))
    finer = by_rate([made(rate, 100, accuracy) for rate, accuracy in FINER_RATES.items()])
    assert [one.said for one in all_observations(runs, finer) if not one.holds] == []
    worse = by_rate([made(rate, 100, 1 - rate) for rate in FINER_RATES])
    assert [one.said for one in all_observations(runs, worse) if not one.holds] == [
        "Range 0.01 to 0.1 need to be investigated again."
    ]


def test_a_rate_that_is_worse_than_the_one_before_is_no_rise_and_no_loss_is_no_drop() -> None:
    assert rises_and_drops(by_rate(table())).holds
    dips = {f"r0_001_s{seed}": 0.92 for seed in told.seeds()}
    assert not rises_and_drops(by_rate(table(**dips))).holds
    less = rises_and_drops(by_rate(table(**{f"r0_1_s{seed}": 0.94 for seed in told.seeds()})))
    assert less.holds
    assert "at 0.1 3 of 3 reach 0.9400, 0.9400, 0.9400; at 1.0 3 of 3 seeds diverge" in less.found
    flat = {f"r{rate}_s{seed}": 0.99 for rate in ("0_1", "1_0") for seed in told.seeds()}
    assert not rises_and_drops(by_rate(table(**flat))).holds


def test_the_seed_matters_where_images_tell_two_apart_or_one_learns_and_another_does_not() -> None:
    alike = one_round(by_rate(table()))
    assert not alike.holds
    assert "tell no two seeds of a rate apart" in alike.found
    apart = one_round(by_rate(table(r0_01_s100=0.97)))
    assert apart.holds
    assert "`10_100_0.01`" in apart.found
    torn = one_round(by_rate(table(r0_1_s100=0.95)))
    assert torn.holds
    assert (
        "At 0.1 the seed decides whether anything is learnt: 2 of 3 seeds diverge, 1 of 3 reach 0.9500"
        in torn.found
    )


def test_three_seeds_do_not_tell_rates_apart_whose_intervals_overlap() -> None:
    assert three_rounds(by_rate(table())).holds
    assert not three_rounds(by_rate(table(r0_01_s100=0.97, r0_01_s200=0.99))).holds


def test_a_three_that_is_taken_for_a_six_is_told() -> None:
    runs = table()
    assert three_and_six(by_rate(runs)).holds
    runs[runs.index(next(run for run in runs if run.run_id == "10_200_0.01"))] = made(
        0.01, 200, 0.984, {(3, 6): 2}
    )
    found = three_and_six(by_rate(runs))
    assert not found.holds
    assert "0, 0, 0, 0, 2 and 0 of the 3s are classified as 6" in found.found


def test_a_run_that_learns_nothing_is_beyond_the_cliff_as_one_that_diverged_is() -> None:
    assert whole_rates(by_rate(table())) == sorted(MEANS)
    assert whole_rates(by_rate(table(r0_001_s200=0.1135))) == [1e-5, 1e-4]


def test_the_page_has_every_setting_and_says_what_is_off() -> None:
    page = write_page(results(table()))
    assert "is within 0.005 of the article's at every rate." in " ".join(page.split())
    assert "The cliff is where the article has it, behind 0.01" in " ".join(page.split())
    row = next(line for line in page.splitlines() if line.startswith("| 0.01 |"))
    assert row == "| 0.01 | 0.9845 | 0.9833 | 0.9837 | 0.9838 | 0.9841 | 0.9842 | 0.9843 | 0.9842 | +0.0004 |"
    assert "diverged | diverged | diverged | - |" in page
    assert "flumen experiment run article-table" in page
    assert "loses 4.00 points: 2.9 times as many errors" in " ".join(page.split())
    assert "It has not been computed here." in " ".join(page.split())
    assert max(len(line) for line in page.splitlines() if not line.startswith("|")) <= 100

    later = " ".join(write_page(results(table(**{f"r0_1_s{seed}": 0.94 for seed in told.seeds()}))).split())
    assert "**but seeds that learn nothing begin at 0.1 there, and only behind 0.1 here**" in later
    off = " ".join(write_page(results(table(r0_01_s100=0.96))).split())
    assert "**Not within 0.005 of the article's mean: 0.01.**" in off
    early = " ".join(write_page(results(table(r0_01_s100=None))).split())
    assert "**The cliff is elsewhere: the best rate is 0.001 here, and 0.01 there.**" in early
    assert "**Not within 0.005 of the article's mean: 0.01.**" in early


def test_what_stands_of_the_large_grid_is_shown_with_how_many() -> None:
    large = [replace(made(0.003, seed, 0.98 if seed else None), outputs=20) for seed in range(7)]
    page = write_page(results(table(), tuple(large)))
    assert "7 of the 140 settings stand" in " ".join(page.split())
    assert "| 0.003 | 0.9800 (6 of 7) |" in page


def test_the_plot_is_svg_with_each_run_and_a_cross_where_runs_diverged() -> None:
    svg = ET.fromstring(accuracy_by_rate(by_rate(table())))
    titles = [title.text or "" for title in svg.iter("{http://www.w3.org/2000/svg}title")]
    assert sum(title.startswith("there, ") for title in titles) == 18
    assert sum(title.startswith("here, ") and "seed" in title for title in titles) == 12
    assert "here, rate 0.1: 3 of 3 diverged" in titles


def test_what_is_served_in_another_way_than_it_was_learnt_is_measured() -> None:
    """The shipped champion, which has learnt grey values: its own way is the better one, and is what it says."""
    shipped, test = Repository(SHIPPED), read_dataset(ROOT / "data" / "mnist").test
    part = Labelled(test.pixels[:2000], test.labels[:2000])
    skew = measure_skew("grey", ["mnist@2"], shipped, part)
    assert skew.models == 1
    assert skew.served["grey"] > skew.served["binarised"] > 0.9
    assert skew.cost == skew.served["grey"] - skew.served["binarised"]


def test_the_page_that_is_there_meets_the_article() -> None:
    """Written by `make article`, from real runs: its figures are the article's, within what was asked for."""
    page = PAGE.read_text()
    assert (PAGE.with_name(PICTURE)).exists()
    assert f"]({PICTURE})" in page
    rows = re.findall(r"^\| (\S+) \|((?: [\d.]+ \|){8}) \S+ \|$", page, re.MULTILINE)
    assert [float(rate) for rate, _ in rows] == [
        rate for rate in told.rates() if rate <= told.LAST_BEFORE_CLIFF
    ]
    for rate, cells in rows:
        *each, mean_here = map(float, cells.strip(" |").split(" | "))
        there, mean_there, here = each[:3], each[3], each[4:]
        assert there == [told.ACCURACY[float(rate), seed] for seed in told.seeds()]
        assert mean_here == pytest.approx(sum(here) / 3, abs=1e-4)
        assert abs(mean_here - mean_there) <= TOLERANCE


def test_a_table_in_markdown_has_a_row_each() -> None:
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| -- | -- |\n| 1 | 2 |"
