"""The figures of an impact: against SciPy, and against what is plain to see."""

import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flumen.replay.errors import NothingToCompare
from flumen.replay.impact import Answered, Impact, Reading, Tally
from flumen.replay.impact.measuring import MOST_AFFECTED
from flumen.replay.impact.slices import LEAST_IMAGES, adjust

LABELS = ("cat", "dog", "<b>")


def measure(answered: Answered, at_once: int = 1000) -> Impact:
    """Measure answers that come so many at once."""
    tally, count = Tally(LABELS), len(answered.ids)
    for start in range(0, count, at_once):
        part = slice(start, start + at_once)
        tally.add(
            Answered(
                ids=answered.ids[part],
                old=answered.old[part],
                new=answered.new[part],
                old_confidence=answered.old_confidence[part],
                new_confidence=answered.new_confidence[part],
                known=answered.known[part],
                columns={name: values[part] for name, values in answered.columns.items()},
            )
        )
    return tally.impact(Reading(population=10 * count, snapshot_us=1))


def answered(old: list[int], new: list[int], known: list[int], **columns: pa.Array) -> Answered:
    count = len(old)
    sure = np.linspace(0.5, 0.9, count, dtype=np.float32)
    return Answered(
        ids=[f"image {row}" for row in range(count)],
        old=np.array(old, np.int64),
        new=np.array(new, np.int64),
        old_confidence=sure,
        new_confidence=sure,
        known=np.array(known, np.int64),
        columns=columns,
    )


def test_a_camera_on_which_the_new_model_is_worse_comes_first() -> None:
    count = 400
    camera = ["bad" if row % 4 == 0 else "good" for row in range(count)]
    new = [1 if name == "bad" else 0 for name in camera]
    found = measure(answered([0] * count, new, [0] * count, camera=pa.array(camera)))
    first = found.slices[0]
    assert (first.column, first.value, first.difference) == ("camera", "bad", -1.0)
    assert first.adjusted < 1e-9
    assert (found.agreement, found.would_change[0]) == (300, 1000)
    assert [(each.old, each.new, each.images) for each in found.transitions] == [("cat", "dog", 100)]
    assert found.affected[0].id == "image 396"  # the surest
    (good,) = (each for each in found.slices if (each.column, each.value) == ("camera", "good"))
    assert (good.difference, good.adjusted) == (0.0, 1.0)


def test_without_labels_slices_are_told_apart_by_how_much_changes() -> None:
    count = 200
    day = pa.array([row // 100 * 86_400_000_000 for row in range(count)], pa.timestamp("us"))
    new = [1 if row >= 100 and row % 2 else 0 for row in range(count)]
    found = measure(answered([0] * count, new, [-1] * count, day=day))
    assert found.comparison is None
    (first,) = (each for each in found.slices if each.value == "1970-01-02")
    assert (first.changed, first.images, first.difference) == (50, 100, None)
    assert first.adjusted < 1e-9


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_p_values_are_corrected_as_scipy_does(p_values: list[float]) -> None:
    from scipy.stats import false_discovery_control

    given_values = np.array(p_values)
    np.testing.assert_allclose(adjust(given_values), false_discovery_control(given_values))


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-1, 2), st.none() | st.floats(width=32)),
        min_size=1,
        max_size=120,
    )
)
def test_every_image_counts_once(rows: list[tuple[int, int, int, float | None]]) -> None:
    old, new, known, numbers = (list(each) for each in zip(*rows, strict=True))
    found = measure(answered(old, new, known, number=pa.array(numbers, pa.float32())))
    assert found.agreement + len(found.affected) == found.images == len(rows)
    assert sum(each.images for each in found.transitions) == len(found.affected)
    for each in found.slices:
        assert LEAST_IMAGES <= each.images < len(rows)
        assert 0 <= each.p_value <= each.adjusted <= 1
    bands = [each for each in found.slices if each.column == "number"]
    assert sum(each.images for each in bands) <= len(rows)
    assert measure(answered(old, new, known, number=pa.array(numbers, pa.float32())), at_once=7) == found


def test_what_is_kept_does_not_grow_with_the_images() -> None:
    random = np.random.default_rng(2)
    tally, at_once = Tally(LABELS), 4000
    sizes = []
    for start in range(0, 10 * at_once, at_once):
        tally.add(
            Answered(
                ids=[f"{row}" for row in range(start, start + at_once)],
                old=np.zeros(at_once, np.int64),
                new=random.integers(0, 2, at_once),
                old_confidence=random.random(at_once, np.float32),
                new_confidence=random.random(at_once, np.float32),
                known=random.integers(-1, 3, at_once),
                columns={
                    "camera": pa.array([f"camera {row}" for row in range(start, start + at_once)]),
                    "number": pa.array(random.normal(0, 1e6, at_once)),
                },
            )
        )
        sizes.append(len(pickle.dumps(tally)))
    assert sizes[-1] <= 1.05 * sizes[1]
    found = tally.impact(Reading(population=0, snapshot_us=1))
    assert (found.images, len(found.affected)) == (10 * at_once, MOST_AFFECTED)
    assert [each.confidence for each in found.affected] == sorted(
        (each.confidence for each in found.affected), reverse=True
    )
    bands = [each for each in found.slices if each.column == "number"]
    assert [each.images for each in bands] == pytest.approx([at_once * 2.5] * 4, rel=0.05)


def test_no_image_is_an_error() -> None:
    with pytest.raises(NothingToCompare, match="there is no image"):
        measure(answered([], [], []))
