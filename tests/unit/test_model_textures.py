"""The model of five groups of photos: cut without an overlap, as good as its manifest says, and made the same again."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flumen.interceptor import Limits
from flumen.interceptor.decoding import decode_image, raster_shape
from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import Dataset
from flumen.models.datasets.textures import (
    LABELS,
    PREPROCESS,
    SIDE,
    TEST_COLUMNS,
    TRAINING_COLUMNS,
    VALIDATION_COLUMNS,
    cut_dataset,
    patches,
    photograph,
)
from flumen.models.errors import ExtraMissing
from flumen.models.evaluation.measures import evaluate
from flumen.models.repository import Repository
from flumen.models.runtime import OnnxClassifier
from flumen.models.shipped import SHIPPED

SHIPPED_PATCHES = Path(__file__).parents[2] / "data" / "textures"


@pytest.fixture(scope="module")
def cut() -> Dataset:
    return cut_dataset()


@pytest.fixture(scope="module")
def shipped() -> OnnxClassifier:
    return Repository(SHIPPED).load("textures", 1)


def test_no_pixel_of_a_photograph_is_in_two_parts() -> None:
    picture = Image.fromarray(np.tile(np.arange(512, dtype=np.int32), (512, 1)))  # each pixel is its column
    seen = [
        set(np.unique([np.asarray(one) for one in patches(picture, columns)]).tolist())
        for columns in (TRAINING_COLUMNS, VALIDATION_COLUMNS, TEST_COLUMNS)
    ]
    assert seen == [set(range(320)), set(range(320, 416)), set(range(416, 512))]


def test_every_class_has_as_many_patches_in_each_part(cut: Dataset) -> None:
    assert cut.validation is not None
    for part, count in ((cut.train, 986), (cut.validation, 87), (cut.test, 87)):
        assert part.pixels.shape == (5 * count, SIDE, SIDE)
        assert np.bincount(part.labels).tolist() == [count] * 5


def test_it_is_as_good_on_them_as_its_manifest_says(shipped: OnnxClassifier, cut: Dataset) -> None:
    manifest = shipped.manifest
    assert manifest.labels == LABELS
    assert manifest.input.preprocess == PREPROCESS
    assert manifest.training is not None
    assert manifest.scores is not None
    assert manifest.training.data_sha256 == cut.train.sha256
    assert manifest.scores.data_sha256 == cut.test.sha256
    evaluation = evaluate(shipped, cut.test.pixels, cut.test.labels)
    assert evaluation.accuracy == manifest.scores.accuracy
    np.testing.assert_array_equal(manifest.scores.confusion, evaluation.confusion)
    assert evaluation.accuracy >= 0.95


def test_the_patches_that_are_shipped_are_of_the_test_part_and_known(shipped: OnnxClassifier) -> None:
    right = 0
    for label, name in enumerate(LABELS):
        files = sorted((SHIPPED_PATCHES / name).glob("*.jpg"))
        for file, patch in zip(files, patches(photograph(label), TEST_COLUMNS, 48), strict=True):
            with Image.open(file) as image:
                assert image.mode == patch.mode
                difference = np.asarray(image, np.int16) - np.asarray(patch, np.int16)
            assert np.abs(difference).mean() < 6, file
            raster = decode_image(file.read_bytes(), Limits(), shipped.preprocess).raster
            pixels = np.frombuffer(raster, np.uint8).reshape(1, *raster_shape(shipped.preprocess))
            right += int(shipped.probabilities(to_tensor(pixels, shipped.preprocess)).argmax() == label)
    assert right >= 47, f"{right} of 50"


def test_without_scikit_image_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flumen.models.datasets.textures.find_spec", lambda _: None)
    with pytest.raises(ExtraMissing, match=r"flumen-ingest\[textures\]"):
        cut_dataset()
