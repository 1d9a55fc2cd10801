"""The model of photos: colour, another size, another layout, other images than the article's."""

import numpy as np
import onnx
import pytest
from images import FORMATS, encoded

from flumen.interceptor import Limits
from flumen.interceptor.decoding import decode_image, raster_shape
from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.shapes import LABELS, PREPROCESS, draw_dataset, draw_photo
from flumen.models.repository import Repository
from flumen.models.runtime import OnnxClassifier
from flumen.models.shipped import SHIPPED
from flumen.models.trainers.making import make_model
from flumen.models.trainers.network import NETWORK, SHAPES
from flumen.models.verify import verify


@pytest.fixture(scope="module")
def shipped() -> OnnxClassifier:
    return Repository(SHIPPED).load("shapes", 1)


def test_nothing_of_it_is_as_with_digits(shipped: OnnxClassifier) -> None:
    manifest = shipped.manifest
    assert manifest.labels == LABELS
    assert manifest.input.shape == (3, 32, 32)
    assert manifest.input.preprocess == PREPROCESS
    assert (PREPROCESS.channels, PREPROCESS.layout, PREPROCESS.resize) == (3, "nchw", "crop")
    assert PREPROCESS.threshold is None
    assert manifest.profile is not None
    assert manifest.profile.foreground is None
    assert manifest.training is not None
    assert manifest.training.data == "4000 images of 32x32, RGB"
    assert manifest.training.parameters["hidden"] == "32"


@pytest.mark.parametrize("size", [(640, 480), (300, 500), (64, 64), (33, 90)])
def test_it_knows_photos_of_any_size_in_every_format(shipped: OnnxClassifier, size: tuple[int, int]) -> None:
    random = np.random.default_rng(size)
    right = 0
    for number in range(40):
        label = number % len(LABELS)
        content = encoded(draw_photo(label, *size, random), FORMATS[number % len(FORMATS)])
        raster = decode_image(content, Limits(), shipped.preprocess).raster
        pixels = np.frombuffer(raster, np.uint8).reshape(1, *raster_shape(shipped.preprocess))
        answer = shipped.probabilities(to_tensor(pixels, shipped.preprocess)).argmax()
        right += int(answer == label)
    assert right >= 36, f"{right} of 40"


def test_the_same_seed_draws_the_same_images() -> None:
    first, second, other = draw_dataset(20, 10), draw_dataset(20, 10), draw_dataset(20, 10, seed=1)
    assert first.train.sha256 == second.train.sha256
    assert first.test.sha256 == second.test.sha256
    assert first.train.sha256 != other.train.sha256
    assert not np.array_equal(first.train.pixels[:10], first.test.pixels)
    assert first.train.pixels.shape == (20, 32, 32, 3)


def test_a_network_of_images_is_made_verified_and_registered(tmp_path: object) -> None:
    """Few images and few epochs: it need not be good."""
    made = make_model("few", draw_dataset(200, 50), NETWORK, SHAPES)
    classifier = verify(made.content, made.manifest)
    assert Repository(str(tmp_path)).register(made.content, made.manifest) == 1
    assert made.evaluation.accuracy > 1.5 / len(LABELS)
    graph = onnx.load_model_from_string(made.content).graph
    assert graph.node[0].op_type == "Flatten"
    dims = graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["n", 3, 32, 32]
    golden = made.manifest.golden[0]
    assert len(golden.pixels) == 3 * 32 * 32
    assert classifier.labels == LABELS
