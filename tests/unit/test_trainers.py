"""Every trainer that comes with flumen: found by its name, deterministic, exported as it answers, and honest."""

from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import numpy as np
import pytest
from model_files import small_model

from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import Dataset, Labelled, with_validation
from flumen.models.errors import (
    BadParameters,
    DatasetInvalid,
    Diverged,
    ExportDiffers,
    TrainingFailed,
    UnknownTrainer,
)
from flumen.models.repository import Repository
from flumen.models.runtime import OnnxClassifier
from flumen.models.trainers import trainer as registry
from flumen.models.trainers.class_weights import balanced_weights
from flumen.models.trainers.making import check_export, make_model
from flumen.models.trainers.network import NETWORK
from flumen.models.trainers.network import Parameters as NetworkParameters
from flumen.models.trainers.rounds import Rounds
from flumen.models.trainers.tensors import valued_preprocess
from flumen.models.trainers.trainer import Progress, Task, find_trainer, trainer_names

PARTS = ("train", "test")
OURS = ("logistic", "neighbours", "network", "network-scikit", "trees")
SMALL: dict[str, dict[str, Any]] = {
    "logistic": {"epochs": 4, "batch_size": 20},
    "neighbours": {"neighbours": 3},
    "network": {"epochs": 8, "batch_size": 20, "hidden": (16,), "rate": 0.005},
    "network-scikit": {"epochs": 8, "batch_size": 20, "hidden": (16,), "rate": 0.005},
    "trees": {"trees": 4, "step": 2, "leaves": 4},
}


def drawn(count: int, classes: int, colours: int, seed: int) -> Labelled:
    """Images that tell their label: a bright row of its own, among noise."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % classes).astype(np.uint8)
    pixels = random.integers(0, 40, (count, 6, 5, colours), dtype=np.uint8)
    pixels[np.arange(count), labels] += 100
    return Labelled(pixels[..., 0] if colours == 1 else pixels, labels)


def dataset(classes: int = 4, colours: int = 1, seed: int = 0) -> Dataset:
    return Dataset(drawn(200, classes, colours, seed), drawn(80, classes, colours, seed + 1))


def made(name: str, images: Dataset, **more: Any) -> Any:
    trainer = find_trainer(name)
    return make_model("few", images, trainer, trainer.parameters(**SMALL[name]), **more)


def test_those_that_come_with_flumen_are_found() -> None:
    assert set(OURS) <= set(trainer_names())
    for name in OURS:
        assert find_trainer(name).name == name
        find_trainer(name).parameters()


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    ("classes", "colours", "preprocess"),
    [
        (4, 1, None),
        (2, 1, valued_preprocess(np.empty((1, 6, 5), np.uint8))),
        (
            3,
            3,
            Preprocess(5, 6, channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), layout="nchw"),
        ),
    ],
    ids=["binarised", "two-classes-grey", "colour"],
)
def test_each_learns_any_images_and_its_export_answers_alike(
    name: str, classes: int, colours: int, preprocess: Preprocess | None, tmp_path: Any
) -> None:
    images = replace(dataset(classes, colours), preprocess=preprocess)
    first, again = made(name, images), made(name, images)
    assert first.content == again.content
    assert first.evaluation.accuracy > 1.5 / classes
    assert first.manifest.training is not None
    assert first.manifest.training.parameters["trainer"] == name
    assert Repository(tmp_path).register(first.content, first.manifest) == 1


def test_the_network_is_scikit_learns_but_for_the_rounding() -> None:
    images = with_validation(dataset(), 0.2)
    size = len(images.train.labels) // 20 * 20  # whole batches, as scikit-learn's penalty wants them
    images = replace(images, train=Labelled(images.train.pixels[:size], images.train.labels[:size]))
    ours, theirs = made("network", images), made("network-scikit", images)
    tensor = to_tensor(images.test.pixels, ours.manifest.input.preprocess)
    answers = [OnnxClassifier(one.content, one.manifest).probabilities(tensor) for one in (ours, theirs)]
    np.testing.assert_allclose(*answers, atol=1e-4)
    assert [one.accuracy for one in ours.rounds] == [one.accuracy for one in theirs.rounds]


@pytest.mark.parametrize("name", ["logistic", "neighbours", "network", "trees"])
def test_class_weights_turn_answers_to_what_weighs_more(name: str) -> None:
    random = np.random.default_rng(3)
    pixels = random.integers(0, 256, (300, 6, 5), dtype=np.uint8)  # nothing to learn from
    labels = (np.arange(300) % 2).astype(np.uint8)
    images = Dataset(Labelled(pixels[:200], labels[:200]), Labelled(pixels[200:], labels[200:]))
    shares = [
        float((made(name, images, class_weights=weights).evaluation.predictions == 1).mean())
        for weights in ((9.0, 1.0), (1.0, 9.0))
    ]
    assert shares[0] + 0.3 < shares[1]


def test_balanced_weights_make_all_labels_count_alike() -> None:
    weights = balanced_weights(Labelled(np.zeros((8, 2, 2), np.uint8), np.array([0] * 6 + [1] * 2, np.uint8)))
    assert weights == pytest.approx((8 / 12, 2))


@pytest.mark.parametrize("name", [name for name in OURS if name != "neighbours"])
def test_where_it_is_told_to_stop_it_stops_and_the_best_round_is_the_model(name: str) -> None:
    seen: list[Progress] = []

    def stop_at_two(progress: Progress) -> bool:
        seen.append(progress)
        return progress.number < 2

    images = with_validation(dataset(), 0.3)
    parameters = {"trees": {"trees": 20, "step": 2}}.get(name, {**SMALL[name], "epochs": 50})
    trainer = find_trainer(name)
    stopped = make_model("few", images, trainer, trainer.parameters(**parameters), report=stop_at_two)
    assert [one.number for one in stopped.rounds] == [1, 2]
    assert stopped.rounds == tuple(seen)
    assert all(one.accuracy is not None for one in seen)


def task(report: Any = lambda _: True) -> Task:
    images = dataset()
    return Task(images.train, None, ("a", "b", "c", "d"), Preprocess(5, 6), 1, report)


def test_the_best_round_is_the_earliest_of_the_highest_accuracy() -> None:
    rounds: Rounds[str] = Rounds(task(), 9, patience=2)
    answers = [
        rounds.take(None, accuracy, lambda kept=name: kept)  # type: ignore[misc]
        for name, accuracy in (("a", 0.5), ("b", 0.7), ("c", 0.7), ("d", 0.6))
    ]
    assert answers == [True, True, True, False]
    assert (rounds.result(), rounds.best_number) == ("b", 2)


def test_without_a_validation_part_the_latest_round_is_the_model() -> None:
    rounds: Rounds[str] = Rounds(task(), 2, patience=1)
    assert rounds.take(0.1, None, lambda: "a")
    assert not rounds.take(0.2, None, lambda: "b")
    assert rounds.result() == "b"


def changed(images: Dataset, part: str, **changes: Any) -> Dataset:
    return replace(images, **{part: replace(getattr(images, part), **changes)})


BAD: list[tuple[Dataset, str]] = [
    (Dataset(drawn(20, 1, 1, 0), drawn(9, 1, 1, 1)), "are of one class"),
    (changed(dataset(), "test", labels=np.full(80, 9, np.uint8)), "must be 0, 1, 2"),
    (replace(dataset(), labels=("a", "b")), "4 labels, and 2 names"),
    (changed(dataset(), "test", pixels=np.zeros((80, 7, 5), np.uint8)), r"to test on are arrays of \(7, 5\)"),
    (replace(dataset(), preprocess=Preprocess(28, 28)), r"the model reads \(28, 28\)"),
    (
        changed(dataset(), "train", labels=np.arange(100, dtype=np.uint8) % 4),
        "200 images to learn from, and 100",
    ),
    (changed(dataset(), "train", pixels=np.full((200, 6, 5), np.nan)), "to learn from are float64"),
    (changed(dataset(), "train", labels=np.arange(200) % 4 + 0.0), "labels of float64"),
    (changed(dataset(), "train", pixels=np.zeros((200, 30), np.uint8)), r"arrays of \(200, 30\)"),
    (changed(dataset(), "test", labels=np.zeros((80, 1), np.uint8)), r"labels of \(80, 1\)"),
    (changed(dataset(), "train", pixels=[[0]]), "are list with labels of ndarray"),
    (
        replace(changed(dataset(), "test", labels=np.arange(80) % 3), labels=tuple("abcd")),
        "none of the images to test on is of 'd'",
    ),
    (replace(dataset(), labels=("a", "b", "c", "a")), "two classes have the name 'a'"),
    (replace(dataset(), labels=("a", "b", "c", "")), "has the name ''"),
    (replace(dataset(), labels=("a", "b", "c", "\x1b[31m")), "signs that can be printed"),
    (replace(dataset(), labels=("a", "b", "c", "d" * 257)), "1 to 256 signs"),
    (changed(dataset(), "test", labels=np.arange(80) % 5 - 1), r"must be 0, 1, 2"),
    (replace(dataset(), validation=drawn(9, 6, 1, 4)), "validation part has the label 5"),
    (replace(dataset(), validation=drawn(0, 4, 1, 4)), "validation part has no images"),
]


@pytest.mark.parametrize(("images", "reason"), BAD, ids=[reason[:20] for _, reason in BAD])
def test_images_that_cannot_be_learnt_from_are_refused(images: Dataset, reason: str) -> None:
    with pytest.raises(DatasetInvalid, match=reason):
        made("logistic", images)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 1.0, 1.0, 0.0), (1.0, 1.0, 1.0, float("nan"))])
def test_class_weights_that_cannot_be_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(BadParameters, match="class weights"):
        made("logistic", dataset(), class_weights=weights)


def test_more_neighbours_than_images_are_refused() -> None:
    trainer = find_trainer("neighbours")
    with pytest.raises(TrainingFailed, match="Choose fewer"):
        make_model("few", dataset(), trainer, trainer.parameters(neighbours=300))


def test_labels_that_are_level_by_class_weights_are_so_in_the_export() -> None:
    random = np.random.default_rng(0)
    train, test = (
        Labelled(random.integers(0, 256, (count, 4, 4), np.uint8), (np.arange(count) % 4).astype(np.uint8))
        for count in (400, 1000)
    )
    trainer = find_trainer("neighbours")
    weights = (0.3945646727490526, 0.3945646727490526, 2.8697618346607956, 2.8697618346607956)
    few = make_model(
        "few", Dataset(train, test), trainer, trainer.parameters(neighbours=20), class_weights=weights
    )
    assert few.evaluation.images == 1000


def test_a_trainer_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownTrainer, match="did you mean 'network'"):
        find_trainer("netwrok")


def test_a_trainer_whose_package_is_broken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints([EntryPoint("gone", "no_such_package:TRAINER", registry.ENTRY_POINT_GROUP)])
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    with pytest.raises(UnknownTrainer, match="no_such_package"):
        find_trainer("gone")


@dataclass(frozen=True)
class Liar:
    """A trainer that exports another model than it has."""

    shift: float
    rounds: tuple[Progress, ...] = ()

    @property
    def facts(self) -> dict[str, int | float | str]:
        return {}

    def probabilities(self, tensor: np.ndarray[Any, Any]) -> Any:
        content, manifest = small_model()
        answers = OnnxClassifier(content, manifest).probabilities(tensor)
        return answers + np.float32(self.shift)

    def to_onnx(self) -> bytes:
        return small_model()[0]


@pytest.mark.parametrize("shift", [1e-4, float("nan")])
def test_an_export_that_answers_otherwise_is_refused(shift: float) -> None:
    content, manifest = small_model()
    images = Labelled(
        np.random.default_rng(1).integers(0, 256, (50, 3, 4), dtype=np.uint8), np.zeros(50, np.uint8)
    )
    classifier = OnnxClassifier(content, manifest)
    check_export(Liar(0), classifier, images)
    with pytest.raises(ExportDiffers, match="50 a probability"):
        check_export(Liar(shift), classifier, images)


def test_images_that_are_all_black_to_a_model_are_learnt_from() -> None:
    dark = dataset()
    dark = replace(
        dark,
        **{part: replace(getattr(dark, part), pixels=getattr(dark, part).pixels // 16) for part in PARTS},
    )
    made_of_it = make_model("few", dark, NETWORK, NetworkParameters(epochs=2))
    assert made_of_it.evaluation.accuracy == 0.25
    assert made_of_it.manifest.profile is not None
    assert made_of_it.manifest.profile.foreground == 0


def test_the_profile_is_that_of_all_pixels() -> None:
    images = drawn(2300, 4, 3, 5)
    given = Dataset(images, images, preprocess=Preprocess(5, 6, channels=3, threshold=100))
    profile = make_model("few", given, NETWORK, NetworkParameters(epochs=1)).manifest.profile
    assert profile is not None
    assert profile.pixel_mean == pytest.approx(images.pixels.mean(), rel=1e-12)
    assert profile.pixel_std == pytest.approx(images.pixels.std(), rel=1e-12)
    assert profile.foreground == pytest.approx((images.pixels > 100).mean(), rel=1e-12)
    assert profile.class_counts == (575,) * 4


def test_a_model_that_diverges_is_told() -> None:
    with pytest.raises(TrainingFailed, match="Choose a rate below"):
        make_model("few", dataset(), NETWORK, NetworkParameters(rate=1e11, epochs=3))


def test_what_a_network_had_learnt_before_it_diverged_is_handed_over() -> None:
    random = np.random.default_rng(3)
    labels = (np.arange(60) % 3).astype(np.uint8)
    pixels = random.integers(0, 256, (60, 3, 4), dtype=np.uint8)
    seen: list[Progress] = []
    given = Task(
        Labelled(pixels, labels), None, ("a", "b", "c"), Preprocess(4, 3), 1, lambda one: not seen.append(one)
    )
    parameters = NetworkParameters(rate=1e3, epochs=50, batch_size=60, hidden=(8,), l2=5.0)
    with pytest.raises(Diverged) as raised:
        NETWORK.train(given, parameters)
    before: Any = raised.value.before
    assert 0 < len(seen) < 50
    assert before.rounds == tuple(seen)
    shorter = replace(parameters, epochs=len(seen))
    expected = NETWORK.train(given, shorter).layers
    for one, other in zip(before.layers.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(one, other)
