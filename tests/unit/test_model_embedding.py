"""A model that names an output as its embedding: checked, run once, and given beside the answer."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from images import CLASSIFIED_AT
from model_files import HEIGHT, IMAGES, LABELS, PIXELS, WEIGHTS, WIDTH, manifest_for, onnx_model
from onnx import TensorProto, helper

from flumen.interceptor import Batch, Context, ImageMessage
from flumen.interceptor.classify import Classify
from flumen.models.describing import describe_model
from flumen.models.errors import ManifestInvalid, NotFinite, TrainingFailed, WrongSignature
from flumen.models.manifest import ModelOutput, from_json, to_json
from flumen.models.runtime import OnnxClassifier
from flumen.models.structure import read_signature
from flumen.models.trainers.dense import dense_onnx
from flumen.models.trainers.descent import Layers
from flumen.models.trainers.embedding import with_last_hidden
from flumen.models.verify import verify

SUMS = ["n", len(LABELS)]


def with_sums(sizes: Any = SUMS, kind: int = TensorProto.FLOAT) -> bytes:
    """The sums before softmax as a second output, said to be of these sizes."""
    model = onnx_model()
    model.graph.output.append(helper.make_tensor_value_info("sums", kind, sizes))
    return bytes(model.SerializeToString())


def naming(content: bytes, embedding: str = "sums") -> Any:
    return manifest_for(content, output=ModelOutput("probabilities", embedding))


def test_gives_both_in_one_run():
    content = with_sums()
    classifier = verify(content, naming(content))
    tensor = (IMAGES.reshape(-1, PIXELS) > 30).astype(np.float32)
    probabilities, embeddings = classifier.with_embeddings(tensor)
    assert classifier.embedding_size == len(LABELS)
    assert np.allclose(embeddings, tensor @ WEIGHTS, atol=1e-5)
    assert np.array_equal(probabilities, classifier.probabilities(tensor))
    assert [part.shape for part in classifier.with_embeddings(tensor[:0])] == [(0, 3), (0, 3)]


@pytest.mark.parametrize(
    ("content", "embedding", "says"),
    [
        (with_sums(), "hidden", "the outputs 'probabilities', 'sums'"),
        (with_sums(["n", None]), "sums", r"\[n, n\]"),
        (with_sums([4, 3]), "sums", r"\[4, 3\]"),
        (with_sums(["n", 1, 3]), "sums", r"\[n, 1, 3\]"),
        (with_sums(["n", 1025]), "sums", r"1 to 1,024 dimensions"),
        (with_sums(kind=TensorProto.DOUBLE), "sums", "double"),
    ],
)
def test_refuses_what_is_no_vector_of_fixed_length(content: bytes, embedding: str, says: str):
    with pytest.raises(WrongSignature, match=says):
        verify(content, naming(content, embedding))


def test_refuses_embeddings_that_are_no_numbers():
    model = onnx_model()
    model.graph.node.append(helper.make_node("Log", ["image"], ["logs"]))
    model.graph.output.append(helper.make_tensor_value_info("logs", TensorProto.FLOAT, ["n", PIXELS]))
    content = bytes(model.SerializeToString())
    with pytest.raises(NotFinite, match="embeddings"):
        verify(content, naming(content, "logs"))


def test_the_manifest_names_it_only_where_there_is_one():
    content = with_sums()
    manifest = naming(content)
    assert from_json(to_json(manifest)) == manifest
    assert b"embedding" in to_json(manifest)
    assert b"embedding" not in to_json(manifest_for(content))
    with pytest.raises(ManifestInvalid, match="the answer itself"):
        from_json(to_json(naming(content, "probabilities")))


def test_a_file_is_described_with_its_embedding():
    content = with_sums()
    signature = replace(read_signature(content, "it"), outputs=("probabilities",))
    preprocess = manifest_for(content).input.preprocess
    described = describe_model(content, "small", LABELS, preprocess, signature, IMAGES, embedding="sums")
    assert described.output == ModelOutput("probabilities", "sums")
    with pytest.raises(WrongSignature, match="'else'"):
        describe_model(content, "small", LABELS, preprocess, signature, IMAGES, embedding="else")


def images(count: int) -> Batch:
    pixels = np.resize(IMAGES, (count, HEIGHT, WIDTH))
    return Batch([ImageMessage(str(row), b"", 1) for row in range(count)]).with_columns(pixels=pixels)


def test_an_image_has_it_as_bytes():
    content = with_sums()
    classifier = OnnxClassifier(content, naming(content))
    columns = Classify().intercept(images(4), Context(classifier, CLASSIFIED_AT)).oks.columns
    found = np.frombuffer(b"".join(columns["embedding"]), "<f4").reshape(4, 3)
    assert np.allclose(found, (IMAGES.reshape(-1, PIXELS) > 30) @ WEIGHTS, atol=1e-5)
    assert columns["prediction"].tolist() == found.argmax(axis=1).tolist()


class Delicate(OnnxClassifier):
    """Fails at every batch with a bright first pixel that is not alone, and gives single ones NaN."""

    def with_embeddings(self, tensor: Any, limit_s: float | None = None) -> Any:
        bright = tensor[:, 0] > 0
        if bright.any() and len(tensor) > 1:
            raise RuntimeError("too bright")
        probabilities, embeddings = super().with_embeddings(tensor, limit_s)
        return probabilities, np.where(bright[:, None], np.float32(np.nan), embeddings)


def test_rows_stay_in_place_where_a_model_fails_at_some():
    content = with_sums()
    batch = images(7)
    pixels = batch.columns["pixels"].copy()  # type: ignore[union-attr]
    pixels[:, 0, 0] = 0
    pixels[[2, 5], 0, 0] = 255
    step = Classify().intercept(
        batch.with_columns(pixels=pixels), Context(Delicate(content, naming(content)), CLASSIFIED_AT)
    )
    cells = step.oks.columns["embedding"]
    assert [cell is None for cell in cells] == [row in (2, 5) for row in range(7)]
    sums = (pixels.reshape(7, -1) > 30) @ WEIGHTS
    for row in (0, 1, 3, 4, 6):
        assert np.allclose(np.frombuffer(cells[row], "<f4"), sums[row], atol=1e-5)


def test_the_last_hidden_layer_of_a_network():
    layers = Layers.drawn((PIXELS, 6, 5, 3), np.random.RandomState(1))
    content = dense_onnx(layers, (PIXELS,))
    given = with_last_hidden(content)
    manifest = manifest_for(given, output=ModelOutput("probabilities", "embedding"), golden=())
    tensor = np.random.default_rng(2).random((4, PIXELS), np.float32)
    probabilities, embeddings = OnnxClassifier(given, manifest).with_embeddings(tensor)
    expected = tensor
    for weights, biases in zip(layers.weights[:2], layers.biases[:2], strict=True):
        expected = np.maximum(expected @ weights + biases, 0)
    assert embeddings.shape == (4, 5)
    assert np.allclose(embeddings, expected, atol=1e-5)
    before = OnnxClassifier(content, manifest_for(content, golden=())).probabilities(tensor)
    assert np.array_equal(probabilities, before)
    onnx.checker.check_model(onnx.load_model_from_string(given), full_check=True)


@pytest.mark.parametrize("shape", [(PIXELS,), (HEIGHT, WIDTH, 1)])
def test_what_has_no_hidden_layer_has_no_embedding(shape: tuple[int, ...]):
    layers = Layers.drawn((PIXELS, 3), np.random.RandomState(1))
    with pytest.raises(TrainingFailed, match="no hidden layer"):
        with_last_hidden(dense_onnx(layers, shape))
