"""Training on a few images: fast, and enough to see that chance is in the seed alone."""

import gzip
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from sklearn.neural_network import MLPClassifier

from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import Dataset, Labelled, read_dataset
from flumen.models.errors import BadModelName, DatasetInvalid, IdxInvalid, TrainingFailed
from flumen.models.repository import Repository
from flumen.models.trainers.making import export, make_model
from flumen.models.trainers.network import Epoch, Parameters, preprocess_of, train
from flumen.models.verify import verify

DATA = Path(__file__).parents[2] / "data" / "mnist"
FEW = Parameters(epochs=2, batch_size=100)


def ignore(_: Epoch) -> None:
    pass


@pytest.fixture(scope="module")
def few() -> Dataset:
    whole = read_dataset(DATA)
    return Dataset(
        train=Labelled(whole.train.pixels[:1000], whole.train.labels[:1000]),
        test=Labelled(whole.test.pixels[:300], whole.test.labels[:300]),
    )


@pytest.fixture(scope="module")
def made(few):
    epochs: list[Epoch] = []
    return (*make_model("digits", few, FEW, epochs.append), epochs)


def test_the_same_seed_gives_the_same_model(few, made):
    content, manifest, evaluation, _ = made
    again, manifest_again, evaluation_again = make_model("digits", few, FEW, ignore)
    assert again == content
    np.testing.assert_array_equal(evaluation_again.predictions, evaluation.predictions)
    assert manifest_again.golden == manifest.golden
    assert manifest_again.scores == manifest.scores


def test_another_seed_gives_another_model(few, made):
    assert make_model("digits", few, replace(FEW, seed=100), ignore)[0] != made[0]


def test_it_learns(made):
    _, manifest, evaluation, epochs = made
    assert [epoch.number for epoch in epochs] == [1, 2]
    assert epochs[1].loss < epochs[0].loss
    assert evaluation.accuracy > 0.5
    assert manifest.scores is not None
    assert (
        manifest.scores.accuracy == evaluation.accuracy == pytest.approx(epochs[-1].test_accuracy, abs=0.01)
    )


def test_every_epoch_shuffles_anew(few):
    """With a number as its seed, scikit-learn would shuffle alike at each call, so at each epoch."""
    sown_again = MLPClassifier(
        (500, 100),
        solver="sgd",
        learning_rate_init=FEW.rate,
        momentum=0.98,
        alpha=FEW.l2 * FEW.batch_size,
        batch_size=FEW.batch_size,
        random_state=FEW.seed,
    )
    tensor = (few.train.pixels.reshape(-1, 784) > 30).astype(np.float32)
    sown_again.partial_fit(tensor, few.train.labels, classes=np.arange(10))
    one = train(few, replace(FEW, epochs=1), ignore)
    np.testing.assert_allclose(one.coefs_[0], sown_again.coefs_[0], atol=1e-5)

    sown_again.partial_fit(tensor, few.train.labels)
    two = train(few, replace(FEW, epochs=2), ignore)
    assert np.abs(two.coefs_[0] - sown_again.coefs_[0]).max() > 1e-4


def test_the_network_is_the_articles(made):
    content, manifest, _, _ = made
    model = onnx.load_model_from_string(content)
    shapes = [tuple(weights.dims) for weights in model.graph.initializer]
    assert [shape for shape in shapes if shape[0] > 1] == [(784, 500), (500, 100), (100, 10)]
    operators = [node.op_type for node in model.graph.node if node.op_type not in ("Cast", "Identity")]
    assert operators == ["MatMul", "Add", "Relu", "MatMul", "Add", "Relu", "MatMul", "Add", "Softmax"]
    assert [entry.domain for entry in model.opset_import] == [""]
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == ["probabilities"]
    assert manifest.input.preprocess.threshold == 30
    assert manifest.training is not None
    assert manifest.training.parameters["l2"] == pytest.approx(0.01 * 0.005)


def test_what_is_made_passes_verification_and_can_be_registered(tmp_path, made):
    content, manifest, _, _ = made
    assert verify(content, manifest).labels == tuple("0123456789")
    assert Repository(tmp_path).register(content, manifest) == 1


def test_onnx_answers_as_scikit_learn_does(few):
    network = train(few, FEW, ignore)
    content = export(network, (784,))
    classifier = verify(content, make_model("digits", few, FEW, ignore)[1])
    tensor = to_tensor(few.test.pixels, preprocess_of(few))
    np.testing.assert_allclose(classifier.probabilities(tensor), network.predict_proba(tensor), atol=1e-5)


def test_the_penalty_is_that_of_the_mean_loss(few):
    """One step by hand on the output layer: weights - rate * l2 * weights is what the penalty takes away."""
    one_step = Parameters(rate=0.01, epochs=1, batch_size=1000)
    network = train(few, one_step, ignore)
    tensor = (few.train.pixels.reshape(-1, 784) > 30).astype(np.float32)
    without = MLPClassifier(
        (500, 100),
        solver="sgd",
        learning_rate_init=0.01,
        momentum=0.98,
        alpha=0,
        batch_size=1000,
        random_state=np.random.RandomState(one_step.seed),
    ).partial_fit(tensor, few.train.labels, classes=np.arange(10))
    start = MLPClassifier(
        (500, 100), solver="sgd", learning_rate_init=1e-30, alpha=0, random_state=np.random.RandomState(123)
    ).partial_fit(tensor[:200], few.train.labels[:200], classes=np.arange(10))
    # The first step by Nesterov's rule is (1 + momentum) * rate * gradient.
    expected = -(1 + 0.98) * 0.01 * one_step.l2 * start.coefs_[2].astype(np.float64)
    found = network.coefs_[2].astype(np.float64) - without.coefs_[2]
    np.testing.assert_allclose(found, expected, atol=3e-8)


def test_a_rate_that_is_too_high_says_so(few):
    with pytest.raises(TrainingFailed, match=r"Choose a rate below 10000000000\.0"):
        make_model("digits", few, replace(FEW, rate=1e10), ignore)


def test_a_name_is_checked_before_training(few):
    with pytest.raises(BadModelName):
        make_model("../digits", few, FEW, ignore)


def test_labels_with_gaps_are_refused(few):
    sevens = few.train.labels != 7
    gap = Dataset(Labelled(few.train.pixels[sevens], few.train.labels[sevens]), few.test)
    with pytest.raises(DatasetInvalid, match="must be 0, 1, 2"):
        make_model("digits", gap, FEW, ignore)


def write_idx(path: Path, values: np.ndarray, compressed: bool = False) -> None:
    header = struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    content = header + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if compressed else content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part, count in (("train", 20), ("t10k", 10)):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", np.full((count, 5, 4), 7), compressed=False)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", np.arange(count) % 10, compressed=True)
    return tmp_path


def test_a_data_set_is_read_plain_or_compressed(folder):
    dataset = read_dataset(folder)
    assert dataset.train.pixels.shape == (20, 5, 4)
    assert dataset.test.labels.tolist() == list(range(10))
    fingerprint = dataset.train.sha256
    write_idx(folder / "train-images-idx3-ubyte.gz", dataset.train.pixels, compressed=True)
    (folder / "train-images-idx3-ubyte").unlink()
    assert read_dataset(folder).train.sha256 == fingerprint


def test_another_pixel_is_another_fingerprint(folder):
    train = read_dataset(folder).train
    pixels = train.pixels.copy()
    pixels[3, 2, 1] += 1
    assert replace(train, pixels=pixels).sha256 != train.sha256


@pytest.mark.parametrize(
    ("name", "values", "kind", "reason"),
    [
        ("train-images-idx3-ubyte", np.zeros((20, 20)), DatasetInvalid, "not n x height x width"),
        ("train-images-idx3-ubyte", np.zeros((0, 5, 4)), DatasetInvalid, "not n x height x width"),
        ("train-images-idx3-ubyte", np.zeros((19, 5, 4)), DatasetInvalid, "19 images"),
        ("train-images-idx3-ubyte", np.zeros((20, 4, 5)), DatasetInvalid, "different sizes"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(folder, name, values, kind, reason):
    write_idx(folder / name, values)
    with pytest.raises(kind, match=reason):
        read_dataset(folder)


def test_a_missing_or_damaged_file_is_named(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(IdxInvalid, match="t10k-labels"):
        read_dataset(folder)
    (folder / "train-images-idx3-ubyte").unlink()
    with pytest.raises(DatasetInvalid, match="--data"):
        read_dataset(folder)
