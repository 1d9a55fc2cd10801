"""Every measure by hand, against an independent computation, and what must hold of it whatever the answers are."""

import math

import numpy as np
import pytest
from answers_made import answers, random_answers, shuffled, some_answers
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from flumen.models.evaluation.calibration import (
    Binning,
    brier_scores,
    error_by_chance,
    log_losses,
    reliability,
)
from flumen.models.evaluation.intervals import bootstrap, stability, wilson
from flumen.models.evaluation.measures import macro_f1_interval, score

BY_HAND = answers([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]], [0, 1, 1, 0])

ROUNDING = 1e-9


def test_log_loss_and_brier_score_by_hand():
    expected = [-math.log(0.9), -math.log(0.4), -math.log(0.8), -math.log(0.3)]
    assert log_losses(BY_HAND) == pytest.approx(expected, rel=1e-6)
    assert brier_scores(BY_HAND) == pytest.approx([0.02, 0.72, 0.08, 0.98], rel=1e-5)


def test_a_known_class_of_probability_0_costs_much_and_not_everything():
    assert log_losses(answers([[1, 0]], [1])) == pytest.approx([-math.log(np.finfo(np.float32).eps)])
    assert brier_scores(answers([[1, 0]], [1])) == [2.0]


@settings(deadline=None)
@given(some_answers())
def test_log_loss_and_brier_score_agree_with_scikit_learn(made):
    from sklearn import metrics

    rows = made.probabilities.astype(np.float64)
    rows /= rows.sum(axis=1, keepdims=True)
    classes = range(len(made.labels))
    clipped = np.clip(rows, np.finfo(np.float32).eps, 1)
    clipped /= clipped.sum(axis=1, keepdims=True)
    ours = float(log_losses(made).mean())
    assert ours == pytest.approx(metrics.log_loss(made.known, clipped, labels=classes), abs=1e-5)
    wanted = np.eye(len(made.labels))[made.known]
    theirs = np.mean([np.sum((row - one) ** 2) for row, one in zip(rows, wanted, strict=True)])
    assert float(brier_scores(made).mean()) == pytest.approx(theirs, abs=1e-5)


def test_two_classes_have_twice_the_brier_score_of_scikit_learn():
    from sklearn import metrics

    made = random_answers(200, classes=2)
    half = metrics.brier_score_loss(made.known, made.probabilities[:, 1].astype(np.float64))
    assert float(brier_scores(made).mean()) == pytest.approx(2 * half, rel=1e-5)


def test_the_reliability_curve_by_hand():
    found = reliability(BY_HAND, bins=2)  # all are surer than 0.5
    [only] = found.bins
    assert (only.low, only.high, only.images, only.accuracy) == (0.5, 1.0, 4, 0.5)
    assert only.confidence == pytest.approx(0.75)
    assert found.error == pytest.approx(0.25)
    quarters = reliability(BY_HAND, Binning.EQUAL_MASS, bins=2)
    assert [(one.images, one.accuracy) for one in quarters.bins] == [(2, 0.0), (2, 1.0)]
    assert quarters.error == pytest.approx((0.65 + 0.15) / 2)


def test_an_edge_belongs_to_the_bin_below_it():
    found = reliability(answers([[0.5, 0.5], [1, 0]], [0, 0]), bins=2)
    assert [(one.low, one.images) for one in found.bins] == [(0.0, 1), (0.5, 1)]


@pytest.mark.parametrize("binning", Binning)
def test_the_calibration_error_is_that_of_a_plain_loop(binning):
    made = random_answers(500)
    found = reliability(made, binning)
    error = 0.0
    for one in found.bins:
        inside = [row for row in range(500) if one.low < made.confidences[row] <= one.high]
        assert len(inside) == one.images
        right, sure = np.mean(made.right[inside]), np.mean(made.confidences[inside])
        assert (one.accuracy, one.confidence) == (pytest.approx(right), pytest.approx(sure))
        error += len(inside) * abs(right - sure) / 500
    assert found.error == pytest.approx(error)
    if binning is Binning.EQUAL_MASS:
        assert {one.images for one in found.bins} <= {33, 34}


def test_a_model_as_sure_as_it_may_be_stays_below_the_error_by_chance_and_one_too_sure_does_not():
    random = np.random.default_rng(5)
    sure = random.uniform(0.5, 1, 4000)
    rows = np.stack([sure, 1 - sure], axis=1)
    honest = answers(rows, (random.random(4000) > sure).astype(int))
    boastful = answers(rows, (random.random(4000) > sure - 0.1).astype(int))
    limit = error_by_chance(honest)
    assert 0 < reliability(honest).error < limit < 0.05 < reliability(boastful).error
    # Of 200 data sets by a model that is as right as it is sure, about 190 are below.
    below = 0
    for _ in range(200):
        drawn = answers(rows, (random.random(4000) > sure).astype(int))
        below += reliability(drawn).error <= limit
    assert 178 <= below <= 199


@pytest.mark.parametrize(("right", "images"), [(0, 1), (1, 1), (0, 10), (7, 10), (9792, 10_000), (10, 10)])
def test_wilsons_interval_is_scipys(right, images):
    theirs = stats.binomtest(right, images).proportion_ci(method="wilson")
    found = wilson(right, images)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0 <= found.low <= right / images <= found.high <= 1


def test_the_bootstrap_is_scipys_but_for_chance():
    values = np.random.default_rng(2).exponential(size=300)
    found = bootstrap(values, draws=4000)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=4000, rng=3
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.012)
    assert bootstrap(values) == bootstrap(values[::-1].copy())
    assert bootstrap(values, seed=1) != bootstrap(values, seed=2)


def test_the_steps_of_a_bootstrap_do_not_show(monkeypatch):
    values = np.random.default_rng(2).exponential(size=50)
    whole = bootstrap(values, draws=100)
    monkeypatch.setattr("flumen.models.evaluation.intervals._DRAWN_AT_ONCE", 50 * 7)
    assert bootstrap(values, draws=100) == whole


def test_the_interval_of_macro_f1_is_that_of_images_drawn_one_by_one():
    from sklearn import metrics

    made = random_answers(120, classes=3, skill=1)
    confusion = score(made.predictions, made.known, tuple(made.labels)).confusion
    found = macro_f1_interval(confusion, draws=4000)
    random = np.random.default_rng(4)
    drawn = []
    for _ in range(800):
        rows = random.integers(0, 120, 120)
        drawn.append(metrics.f1_score(made.known[rows], made.predictions[rows], average="macro"))
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.015)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_macro_averages_are_scikit_learns(pairs):
    from sklearn import metrics

    known, predicted = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    found = score(predicted, known, tuple("abcde"))
    theirs = metrics.precision_recall_fscore_support(known, predicted, average="macro", zero_division=0)
    assert (found.macro_precision, found.macro_recall, found.macro_f1) == pytest.approx(theirs[:3])
    interval = macro_f1_interval(found.confusion, draws=50)
    assert 0 <= interval.low <= interval.high <= 1


@settings(deadline=None, max_examples=60)
@given(some_answers(), st.integers(0, 100))
def test_the_order_of_the_images_changes_nothing_and_intervals_hold_the_estimate(made, seed):
    other = shuffled(made, seed)
    for values in (log_losses, brier_scores):
        found = bootstrap(values(made), draws=200)
        assert found == bootstrap(values(other), draws=200)
        assert found.low - ROUNDING <= values(made).mean() <= found.high + ROUNDING
    for binning in Binning:
        one, two = reliability(made, binning), reliability(other, binning)
        assert one.error == pytest.approx(two.error, abs=1e-12)
        assert [each.images for each in one.bins] == [each.images for each in two.bins]
        assert sum(each.images for each in one.bins) == len(made)
        assert 0 <= one.error <= 1
    accuracy = wilson(int(made.right.sum()), len(made))
    assert accuracy.low <= made.right.mean() <= accuracy.high


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_stability_over_seeds_is_students(runs):
    found = stability(np.array(runs))
    assert (found.runs, found.mean) == (len(runs), pytest.approx(np.mean(runs)))
    assert found.std == pytest.approx(np.std(runs, ddof=1))
    assert found.interval is not None
    half = stats.t.ppf(0.975, len(runs) - 1) * np.std(runs, ddof=1) / math.sqrt(len(runs))
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (np.mean(runs) - half, np.mean(runs) + half)
    )


def test_one_run_says_nothing_of_others():
    assert (stability(np.array([0.5])).std, stability(np.array([0.5])).interval) == (None, None)
