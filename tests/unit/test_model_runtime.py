import tempfile
import threading

import numpy as np
import pytest
from model_files import (
    IMAGES,
    LABELS,
    PIXELS,
    endless_file,
    expected_probabilities,
    failing_file,
    manifest_for,
    small_model,
)

from flumen.interceptor.preprocess import to_tensor
from flumen.models.errors import InferenceFailed, NotRunnable, RepositoryUnavailable, TooSlow
from flumen.models.runtime import OnnxClassifier

CONTENT, MANIFEST = small_model()
TENSOR = to_tensor(IMAGES, MANIFEST.input.preprocess)


@pytest.fixture(scope="module")
def classifier() -> OnnxClassifier:
    return OnnxClassifier(CONTENT, MANIFEST)


def test_any_number_of_images_is_a_batch(classifier):
    for count in (0, 1, 3, 501):
        rows = np.arange(count) % len(TENSOR)
        found = classifier.probabilities(TENSOR[rows])
        assert found.dtype == np.float32
        assert found.shape == (count, len(LABELS))
        np.testing.assert_allclose(found, expected_probabilities()[rows], atol=1e-6)


@pytest.mark.parametrize(
    "tensor",
    [np.zeros((2, PIXELS + 1), np.float32), np.zeros((2, PIXELS)), np.zeros((2, 3, 4), np.float32)],
)
def test_another_shape_or_dtype_is_an_error_of_ours(classifier, tensor):
    with pytest.raises(InferenceFailed, match="shapes@0 did not classify a batch of shape"):
        classifier.probabilities(tensor)


def test_onnx_runtime_prints_nothing_of_its_own_when_a_batch_fails(capfd):
    content = endless_file()  # given up in the middle, and before that a shape that does not fit
    endless = OnnxClassifier(content, manifest_for(content))
    with pytest.raises(InferenceFailed):
        endless.probabilities(np.zeros((2, PIXELS + 1), np.float32))
    with pytest.raises(TooSlow):
        endless.probabilities(TENSOR, limit_s=0.1)
    content = failing_file()
    with pytest.raises(InferenceFailed):
        OnnxClassifier(content, manifest_for(content)).probabilities(TENSOR)
    assert capfd.readouterr() == ("", "")


def test_bytes_that_are_no_model_are_an_error_of_ours():
    with pytest.raises(NotRunnable, match="does not load shapes@0"):
        OnnxClassifier(b"not a model", MANIFEST)


def test_several_threads_may_classify_at_once(classifier):
    found = {}

    def classify(number: int) -> None:
        found[number] = [classifier.probabilities(TENSOR) for _ in range(50)]

    threads = [threading.Thread(target=classify, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 1, 2, 3]
    for answers in found.values():
        for answer in answers:
            np.testing.assert_allclose(answer, expected_probabilities(), atol=1e-6)


def test_more_threads_give_the_same_answers():
    found = OnnxClassifier(CONTENT, MANIFEST, threads=2).probabilities(TENSOR)
    np.testing.assert_allclose(found, expected_probabilities(), atol=1e-6)


def test_where_there_is_no_room_for_a_copy_it_says_so_and_may_be_tried_again(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(RepositoryUnavailable, match="make room there, or set TMPDIR") as refused:
        OnnxClassifier(CONTENT, MANIFEST)
    assert refused.value.retriable


def test_what_never_ends_is_given_up():
    content = endless_file()
    endless = OnnxClassifier(content, manifest_for(content))
    with pytest.raises(TooSlow, match=r"shapes@0 does not classify a batch of 4 images within 0.1 s"):
        endless.probabilities(TENSOR, limit_s=0.1)
