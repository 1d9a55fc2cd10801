"""Measures of drift: against SciPy and by hand, and how often they raise a false alarm."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from flumen.replay.drift.counting import MOST_SLOTS, Binned, Counts, Numbers, Texts
from flumen.replay.drift.measures import (
    ALPHA,
    distances,
    jensen_shannon,
    largest_difference,
    measured,
    stability_index,
)


def test_the_stability_index_and_the_distance_are_those_of_their_formulas() -> None:
    reference, window = np.array([50_000.0, 30_000.0, 20_000.0]), np.array([40_000.0, 40_000.0, 20_000.0])
    by_hand = (0.5 - 0.4) * math.log(0.5 / 0.4) + (0.3 - 0.4) * math.log(0.3 / 0.4)
    assert stability_index(reference, window) == pytest.approx(by_hand, rel=1e-3)
    assert jensen_shannon(reference, window) == pytest.approx(jensenshannon(reference, window, 2), rel=1e-3)
    assert jensen_shannon(np.array([1e9, 0.0]), np.array([0.0, 1e9])) == pytest.approx(1, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-60_000, 60_000, width=16), min_size=1, max_size=200),
    st.lists(st.floats(-60_000, 60_000, width=16), min_size=1, max_size=200),
)
def test_kolmogorov_smirnov_is_that_of_its_definition_where_no_two_values_share_a_slot(
    first: list[float], second: list[float]
) -> None:
    """Half-precision floats have 10 bits behind the point, and a slot knows 7: so of the values it keeps these."""
    coarse = [np.float32(each).view(np.int32) & np.int32(-0x10000) for each in (first, second)]
    values = [each.view(np.float32) for each in coarse]
    numbers = Numbers()
    windows = np.repeat([0, 1], [len(first), len(second)])
    numbers.add(windows, pa.array(np.concatenate(values)))
    counts = numbers.counted(2).counts[:, 1:]
    assert largest_difference(counts[0], counts[1]) == pytest.approx(by_definition(*values))


def by_definition(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the largest difference of both empirical distributions, at each of the values."""
    shares = [[np.mean(each <= value) for value in (*first, *second)] for each in (first, second)]
    return float(np.abs(np.subtract(*shares)).max())


@given(st.lists(st.one_of(st.none(), st.floats(width=32, allow_infinity=False)), max_size=300))
def test_numbers_are_counted_by_value_and_none_is_lost(values: list[float | None]) -> None:
    numbers = Numbers()
    array = pa.array(values, pa.float32())
    for start in range(0, len(values), 50):
        part = array.slice(start, 50)
        numbers.add(np.arange(start, start + len(part)) % 3, part)
    counted = numbers.counted(3)
    missing = sum(each is None or math.isnan(each) for each in values)
    assert counted.counts.sum() == len(values)
    assert counted.counts[:, 0].sum() == missing
    assert counted.bounds is not None
    assert (np.diff(counted.bounds) > 0).all()


def test_a_column_of_very_many_values_stays_within_its_slots_and_its_quantiles() -> None:
    random = np.random.default_rng(3)
    numbers = Numbers()
    values = np.exp(random.normal(0, 30, 60_000)) * random.choice([-1, 1], 60_000)
    for part in np.split(values, 6):
        numbers.add(np.zeros(len(part), np.intp), pa.array(part))
    counted = numbers.counted(1)
    assert counted.counts.shape[1] <= MOST_SLOTS
    assert counted.counts.sum() == len(values)
    assert counted.bounds is not None
    below = counted.counts[0, 1:][counted.bounds < 0].sum() / len(values)
    assert below == pytest.approx((values < -1e-44).mean(), abs=1e-3)


def test_texts_keep_their_first_values_and_count_the_others_together() -> None:
    texts = Texts(("known",))
    texts.add(np.zeros(3, np.intp), pa.array(["known", None, "x" * 10_000]))
    texts.add(np.ones(5000, np.intp), pa.array([f"id-{row}" for row in range(5000)]))
    counted = texts.counted(2)
    assert counted.names[:2] == ("known", "x" * 256)
    assert counted.counts[0, :3].tolist() == [1, 1, 1]
    assert counted.counts[1].sum() == 5000
    assert counted.counts.shape[1] <= MOST_SLOTS + 1
    assert counted.others > 0.7


def test_labels_are_told_apart_however_long() -> None:
    labels = ("l" * 255 + "a", "l" * 255 + "b")
    texts = Texts(labels)
    texts.add(np.zeros(3, np.intp), pa.array([labels[1], labels[1], labels[0]]))
    assert texts.counted(1).counts.tolist() == [[0, 1, 2, 0]]


def test_bins_that_are_given_are_open_below() -> None:
    binned = Binned(np.array([0.0, 0.5, 1.0]))
    binned.add(np.zeros(5, np.intp), pa.array([0.0, 0.5, 0.50001, 1.0, None]))
    assert binned.counted(1).counts.tolist() == [[1, 2, 2]]


@pytest.mark.parametrize(("images", "of_reference"), [(60, 300), (1000, 1000)])
def test_runs_in_which_nothing_changed_raise_an_alarm_no_more_often_than_claimed(
    images: int, of_reference: int
) -> None:
    """Of 120 runs over ten windows and four columns each, 5 % may; fixed seeds make it the same each time."""
    random = np.random.default_rng(7)
    runs, windows = 120, 10
    alarms = sum(alarmed(random, windows, images, of_reference) for _ in range(runs))
    assert alarms < 12


def alarmed(random: np.random.Generator, windows: int, images: int, of_reference: int) -> bool:
    of_row = np.repeat(np.arange(windows + 1), [of_reference] + [images] * windows)
    size = len(of_row)
    columns: list[tuple[Counts, pa.Array]] = [
        (Numbers(), pa.array(random.normal(100, 30, size))),
        (Numbers(), pa.array(random.poisson(2, size))),
        (Texts(), pa.array(random.choice(list("abcdefghij"), size, p=random.dirichlet(np.ones(10))))),
        (Texts(), pa.array(np.where(random.random(size) < 0.02, "flash", None))),
    ]
    for counts, values in columns:
        counts.add(of_row, values)
    counted = [counts.counted(windows + 1) for counts, _ in columns]
    alpha = ALPHA / (windows * sum(map(measured, counted)))
    found = (
        distances(each, each.counts[0], each.counts[row], alpha)
        for each in counted
        for row in range(1, windows + 1)
    )
    return any(each is not None and each.ratio > 1 for each in found)


def test_values_that_are_rare_on_both_sides_are_no_change() -> None:
    """Such as serial numbers: those that the reference has most often by chance stand less often in every window."""
    random = np.random.default_rng(3)
    images = [4000, *[1000] * 20]
    texts = Texts()
    texts.add(
        np.repeat(np.arange(len(images)), images),
        pa.array([f"camera {number}" for number in random.integers(0, 900, sum(images))]),
    )
    found = texts.counted(len(images))
    measured_of = [distances(found, found.counts[0], row, ALPHA / 40) for row in found.counts[1:]]
    assert [each for each in measured_of if each is not None and each.ratio > 1] == []


def test_a_value_that_is_frequent_in_a_window_alone_is_told() -> None:
    texts = Texts()
    values = [f"camera {number % 30}" for number in range(4000)]
    texts.add(np.repeat([0, 1], 2000), pa.array([*values[:3700], *["another"] * 300]))
    found = texts.counted(2)
    told = distances(found, *found.counts, ALPHA)
    assert told is not None
    assert told.ratio > 5


def test_the_usual_threshold_of_a_tenth_would_raise_it_most_of_the_time() -> None:
    random = np.random.default_rng(1)
    drawn = random.multinomial(100, [0.1] * 10, size=(400, 2)).astype(np.float64)
    over = np.mean([stability_index(first, second) > 0.1 for first, second in drawn])
    assert over > 0.7
