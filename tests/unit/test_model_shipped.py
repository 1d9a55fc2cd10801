from pathlib import Path

import numpy as np
import pytest
from model_files import small_model

from flumen.models.datasets.dataset import read_dataset
from flumen.models.evaluation.measures import Evaluation, evaluate
from flumen.models.repository import CHAMPION, Repository
from flumen.models.runtime import OnnxClassifier
from flumen.models.shipped import SHIPPED, seed

DATA = Path(__file__).parents[2] / "data" / "mnist"


@pytest.fixture(scope="module")
def shipped() -> OnnxClassifier:
    return Repository(SHIPPED).load("mnist", 1)


@pytest.fixture(scope="module")
def evaluation(shipped) -> Evaluation:
    test = read_dataset(DATA).test
    return evaluate(shipped, test.pixels, test.labels)


def test_it_is_as_good_as_it_must_be(evaluation):
    assert evaluation.images == 10_000
    assert evaluation.accuracy >= 0.975


def test_it_is_as_good_as_its_manifest_says(shipped, evaluation):
    scores = shipped.manifest.scores
    assert scores is not None
    assert (scores.images, scores.accuracy) == (evaluation.images, evaluation.accuracy)
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx(
        (evaluation.precision, evaluation.recall, evaluation.f1)
    )
    np.testing.assert_array_equal(scores.confusion, evaluation.confusion)


def test_its_manifest_names_the_data_that_is_here(shipped):
    dataset = read_dataset(DATA)
    manifest = shipped.manifest
    assert manifest.training is not None
    assert manifest.scores is not None
    assert manifest.profile is not None
    assert manifest.training.data_sha256 == dataset.train.sha256
    assert manifest.scores.data_sha256 == dataset.test.sha256
    assert manifest.profile.class_counts == tuple(np.bincount(dataset.train.labels).tolist())
    assert manifest.profile.foreground == pytest.approx((dataset.train.pixels > 30).mean())


def test_it_is_small_enough_to_be_in_the_repository(shipped):
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()) < 3 * 1024 * 1024
    assert shipped.labels == tuple("0123456789")


@pytest.mark.parametrize("name", ["mnist", "shapes", "textures"])
def test_an_empty_repository_gets_it_as_the_champion(tmp_path, name):
    repository = Repository(tmp_path)
    seed(repository)
    seed(repository)
    assert repository.versions(name) == [1]
    assert repository.alias(name, CHAMPION) == 1
    for file in ("model.onnx", "manifest.json"):
        assert (tmp_path / name / "1" / file).read_bytes() == (SHIPPED / name / "1" / file).read_bytes()


def test_a_repository_with_a_model_of_that_name_keeps_its_own(tmp_path):
    content, manifest = small_model()
    repository = Repository(tmp_path)
    for _ in range(2):
        repository.register(content, manifest)
    seed(repository)
    assert repository.names() == ["mnist", "shapes", "textures"]

    own = Repository(tmp_path / "own")
    shipped = SHIPPED / "mnist" / "1" / "model.onnx"
    for _ in range(2):
        own.register(shipped.read_bytes(), Repository(SHIPPED).manifest("mnist", 1))
    own.set_alias("mnist", CHAMPION, 1)
    seed(own)
    assert own.versions("mnist") == [1, 2]
    assert own.alias("mnist", CHAMPION) == 1
