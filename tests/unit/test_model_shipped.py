"""The models that are shipped: as good as they say, on the data that is here; and how a repository gets them."""

from pathlib import Path

import numpy as np
import pytest
from model_files import small_model

from flumen.models.datasets.dataset import Dataset, read_dataset, with_validation
from flumen.models.evaluation.measures import Evaluation, evaluate
from flumen.models.repository import CHAMPION, MODEL_FILE, Repository
from flumen.models.runtime import OnnxClassifier
from flumen.models.shipped import SHIPPED, seed

DATA = Path(__file__).parents[2] / "data" / "mnist"
BINARISED, GREY = 1, 2
AT_LEAST = {BINARISED: 0.975, GREY: 0.983}
VALIDATION = 0.1


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return read_dataset(DATA)


@pytest.fixture(scope="module", params=[BINARISED, GREY], ids=["binarised", "grey"])
def shipped(request: pytest.FixtureRequest) -> OnnxClassifier:
    return Repository(SHIPPED).load("mnist", request.param)


@pytest.fixture(scope="module")
def evaluation(shipped: OnnxClassifier, mnist: Dataset) -> Evaluation:
    return evaluate(shipped, mnist.test.pixels, mnist.test.labels)


def test_it_is_as_good_as_it_must_be(shipped: OnnxClassifier, evaluation: Evaluation) -> None:
    assert evaluation.images == 10_000
    assert evaluation.accuracy >= AT_LEAST[shipped.manifest.version]


def test_it_is_as_good_as_its_manifest_says(shipped: OnnxClassifier, evaluation: Evaluation) -> None:
    scores = shipped.manifest.scores
    assert scores is not None
    assert (scores.images, scores.accuracy) == (evaluation.images, evaluation.accuracy)
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx(
        (evaluation.precision, evaluation.recall, evaluation.f1)
    )
    np.testing.assert_array_equal(scores.confusion, evaluation.confusion)


def test_its_manifest_names_the_data_that_is_here(shipped: OnnxClassifier, mnist: Dataset) -> None:
    manifest = shipped.manifest
    assert manifest.training is not None
    assert manifest.scores is not None
    assert manifest.profile is not None
    chosen_by_images = manifest.training.parameters.get("validation_images")
    learnt = mnist if chosen_by_images is None else with_validation(mnist, VALIDATION)
    assert (learnt.validation and len(learnt.validation.labels)) == chosen_by_images
    assert manifest.training.data_sha256 == learnt.train.sha256
    assert manifest.scores.data_sha256 == mnist.test.sha256
    assert manifest.profile.class_counts == tuple(np.bincount(learnt.train.labels).tolist())


def test_one_is_binarised_and_the_champion_is_chosen_by_images_that_it_has_not_learnt(mnist: Dataset) -> None:
    binarised, grey = (Repository(SHIPPED).manifest("mnist", version) for version in (BINARISED, GREY))
    assert Repository(SHIPPED).resolve("mnist") == grey
    assert (binarised.input.preprocess.threshold, grey.input.preprocess.threshold) == (30, None)
    assert binarised.profile is not None
    assert grey.profile is not None
    assert binarised.profile.foreground == pytest.approx((mnist.train.pixels > 30).mean())
    assert grey.profile.foreground is None
    assert grey.training is not None
    images = grey.training.images, grey.training.parameters["validation_images"]
    assert sum(map(int, images)) == len(mnist.train.labels)
    assert images[1]


def test_they_are_small_enough_to_be_in_the_repository(shipped: OnnxClassifier) -> None:
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()) < 5 * 1024 * 1024
    assert shipped.labels == tuple("0123456789")


@pytest.mark.parametrize(
    ("name", "versions"), [("mnist", [BINARISED, GREY]), ("shapes", [1]), ("textures", [1])]
)
def test_an_empty_repository_gets_them_and_the_newest_is_the_champion(
    tmp_path: Path, name: str, versions: list[int]
) -> None:
    repository = Repository(tmp_path)
    seed(repository)
    seed(repository)
    assert repository.versions(name) == versions
    assert repository.alias(name, CHAMPION) == versions[-1]
    for version in map(str, versions):
        for file in ("model.onnx", "manifest.json"):
            content = (tmp_path / name / version / file).read_bytes()
            assert content == (SHIPPED / name / version / file).read_bytes()


def content_of(version: int) -> bytes:
    return (SHIPPED / "mnist" / str(version) / MODEL_FILE).read_bytes()


def test_what_was_begun_is_completed(tmp_path: Path) -> None:
    """Who was killed in the middle, or is slower, has left the first version and no champion."""
    repository, shipped = Repository(tmp_path), Repository(SHIPPED)
    repository.register(content_of(BINARISED), shipped.manifest("mnist", BINARISED))
    seed(repository)
    assert repository.versions("mnist") == [BINARISED, GREY]
    assert repository.resolve("mnist").sha256 == shipped.manifest("mnist", GREY).sha256


def test_a_number_that_is_taken_is_left_to_who_has_it(tmp_path: Path) -> None:
    repository, shipped = Repository(tmp_path), Repository(SHIPPED)
    for _ in range(2):
        repository.register(content_of(BINARISED), shipped.manifest("mnist", BINARISED))
    seed(repository)
    assert repository.manifest("mnist", 2).sha256 == shipped.manifest("mnist", BINARISED).sha256
    assert repository.alias("mnist", CHAMPION) == 3
    assert repository.resolve("mnist").sha256 == shipped.manifest("mnist", GREY).sha256


def test_a_repository_with_a_model_of_that_name_keeps_its_own(tmp_path: Path) -> None:
    content, manifest = small_model()
    repository = Repository(tmp_path)
    for _ in range(2):
        repository.register(content, manifest)
    seed(repository)
    assert repository.names() == ["mnist", "shapes", "textures"]
    assert (repository.versions("shapes"), repository.alias("shapes", CHAMPION)) == ([1, 2], 2)


@pytest.mark.parametrize("versions", [(BINARISED,), (BINARISED, BINARISED)])
def test_a_champion_of_an_earlier_flumen_stays_alone(tmp_path: Path, versions: tuple[int, ...]) -> None:
    repository = Repository(tmp_path)
    for version in versions:
        repository.register(content_of(version), Repository(SHIPPED).manifest("mnist", version))
    repository.set_alias("mnist", CHAMPION, 1)
    seed(repository)
    assert len(repository.versions("mnist")) == len(versions)
    assert repository.alias("mnist", CHAMPION) == 1
