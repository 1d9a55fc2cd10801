"""Training on a few images: fast, and enough to see that chance is in the seed alone."""

import gzip
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from flumen.models.datasets.dataset import Dataset, Labelled, read_dataset
from flumen.models.errors import BadModelName, DatasetInvalid, IdxInvalid, TrainingFailed
from flumen.models.repository import Repository
from flumen.models.trainers.making import make_model
from flumen.models.trainers.network import NETWORK, Parameters
from flumen.models.verify import verify

DATA = Path(__file__).parents[2] / "data" / "mnist"
FEW = Parameters(epochs=2, batch_size=100)


@pytest.fixture(scope="module")
def few() -> Dataset:
    whole = read_dataset(DATA)
    return Dataset(
        train=Labelled(whole.train.pixels[:1000], whole.train.labels[:1000]),
        test=Labelled(whole.test.pixels[:300], whole.test.labels[:300]),
    )


@pytest.fixture(scope="module")
def made(few):
    return make_model("digits", few, NETWORK, FEW)


def test_the_same_seed_gives_the_same_model(few, made):
    again = make_model("digits", few, NETWORK, FEW)
    assert again.content == made.content
    np.testing.assert_array_equal(again.evaluation.predictions, made.evaluation.predictions)
    assert again.manifest.golden == made.manifest.golden
    assert again.manifest.scores == made.manifest.scores


def test_another_seed_gives_another_model(few, made):
    assert make_model("digits", few, NETWORK, FEW, seed=100).content != made.content


def test_it_learns(made):
    assert [one.number for one in made.rounds] == [1, 2]
    assert made.rounds[0].loss is not None
    assert made.rounds[1].loss is not None
    assert made.rounds[1].loss < made.rounds[0].loss
    assert made.evaluation.accuracy > 0.5
    assert made.manifest.scores is not None
    assert made.manifest.scores.accuracy == made.evaluation.accuracy


def test_the_network_is_the_articles(made):
    model = onnx.load_model_from_string(made.content)
    shapes = [tuple(weights.dims) for weights in model.graph.initializer]
    assert [shape for shape in shapes if len(shape) > 1] == [(784, 500), (500, 100), (100, 10)]
    operators = [node.op_type for node in model.graph.node]
    assert operators == ["MatMul", "Add", "Relu", "MatMul", "Add", "Relu", "MatMul", "Add", "Softmax"]
    assert [entry.domain for entry in model.opset_import] == [""]
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == ["probabilities"]
    assert made.manifest.input.preprocess.threshold == 30
    training = made.manifest.training
    assert training is not None
    assert training.parameters["trainer"] == "network"
    assert training.parameters["l2"] == 7.8125e-7


def test_what_is_made_passes_verification_and_can_be_registered(tmp_path, made):
    assert verify(made.content, made.manifest).labels == tuple("0123456789")
    assert Repository(tmp_path).register(made.content, made.manifest) == 1


def test_a_rate_that_is_too_high_says_so(few):
    with pytest.raises(TrainingFailed, match=r"Choose a rate below 10000000000\.0"):
        make_model("digits", few, NETWORK, replace(FEW, rate=1e10))


def test_a_name_is_checked_before_training(few):
    with pytest.raises(BadModelName):
        make_model("../digits", few, NETWORK, FEW)


def test_labels_with_gaps_are_refused(few):
    sevens = few.train.labels != 7
    gap = Dataset(Labelled(few.train.pixels[sevens], few.train.labels[sevens]), few.test)
    with pytest.raises(DatasetInvalid, match="must be 0, 1, 2"):
        make_model("digits", gap, NETWORK, FEW)


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
