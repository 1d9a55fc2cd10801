from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from model_files import IMAGES, LABELS, expected_probabilities, small_model

from flumen.models.datasets.idx import read_idx
from flumen.models.evaluation.measures import evaluate, score
from flumen.models.runtime import OnnxClassifier

DIGITS = tuple("0123456789")
TEST_LABELS = Path(__file__).parents[2] / "data" / "mnist" / "t10k-labels-idx1-ubyte.gz"


def test_it_counts_as_the_article_does():
    """The article's table: 10_100_1.0, a model that always answers 1."""
    known = read_idx(TEST_LABELS).astype(np.int64)
    found = score(np.ones_like(known), known, DIGITS)
    assert (found.accuracy, round(found.precision, 4), found.recall) == (0.1135, 0.1135, pytest.approx(0.1))
    assert round(found.f1, 4) == 0.1063
    assert found.classes[1].recall == 1.0
    assert found.classes[0].precision is None


def test_every_class_is_scored_by_hand():
    known = np.array([0, 0, 0, 1, 1, 2])
    found = score(np.array([0, 0, 1, 1, 0, 2]), known, LABELS)
    assert found.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert found.accuracy == pytest.approx(4 / 6)
    assert [one.label for one in found.classes] == list(LABELS)
    assert [one.images for one in found.classes] == [3, 2, 1]
    assert [one.precision for one in found.classes] == pytest.approx([2 / 3, 1 / 2, 1])
    assert [one.recall for one in found.classes] == pytest.approx([2 / 3, 1 / 2, 1])
    assert found.precision == found.recall == found.f1 == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_all_wrong_is_zero_and_not_an_error():
    found = score(np.array([1, 0]), np.array([0, 1]), LABELS)
    assert (found.accuracy, found.precision, found.recall, found.f1) == (0, 0, 0, 0)


@pytest.mark.parametrize(("predictions", "known"), [([], []), ([1], [1, 2])])
def test_what_cannot_be_compared_is_an_error(predictions, known):
    with pytest.raises(ValueError, match="cannot be compared"):
        score(np.array(predictions, dtype=np.int64), np.array(known, dtype=np.int64), LABELS)


@settings(deadline=None)
@given(hnp.arrays(np.int64, st.tuples(st.just(2), st.integers(1, 50)), elements=st.integers(0, 9)))
def test_it_agrees_with_scikit_learn(rows):
    from sklearn import metrics

    found = score(rows[1], rows[0], DIGITS)
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(*rows, labels=range(10)))
    assert found.accuracy == pytest.approx(metrics.accuracy_score(*rows))
    known = metrics.precision_recall_fscore_support(*rows, labels=range(10), zero_division=np.nan)
    for ours, theirs in zip(found.classes, zip(*known, strict=True), strict=True):
        assert ours.precision == (None if np.isnan(theirs[0]) else pytest.approx(theirs[0]))
        assert ours.recall == (None if np.isnan(theirs[1]) else pytest.approx(theirs[1]))
        assert ours.images == theirs[3]
    assert found.precision == pytest.approx(np.nanmean(known[0]))
    assert found.recall == pytest.approx(np.nanmean(known[1]))


@pytest.mark.parametrize("batch_size", [1, 3, 4, 500])
def test_the_size_of_batches_does_not_matter(batch_size):
    expected = expected_probabilities().argmax(axis=1)
    found = evaluate(OnnxClassifier(*small_model()), IMAGES, expected.astype(np.uint8), batch_size)
    assert found.predictions.tolist() == expected.tolist()
    assert (found.images, found.accuracy) == (len(IMAGES), 1.0)
