from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_files import (
    FLOAT,
    HEIGHT,
    IMAGES,
    LABELS,
    PIXELS,
    WEIGHTS,
    WIDTH,
    endless_file,
    expected_probabilities,
    failing_file,
    linear,
    manifest_for,
    onnx_file,
    onnx_model,
    small_model,
)
from onnx import TensorProto, helper, numpy_helper

from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.preprocess import to_tensor
from flumen.models.errors import (
    CustomOperator,
    ExternalData,
    GoldenMismatch,
    ModelCorrupt,
    ModelEmpty,
    ModelRefused,
    ModelTooLarge,
    NotADistribution,
    NotFinite,
    NotOnnx,
    NotRunnable,
    TooSlow,
    WrongLabelCount,
    WrongSignature,
)
from flumen.models.manifest import ModelInput, ModelOutput
from flumen.models.runtime import OnnxClassifier
from flumen.models.verify import MAX_BATCH_S, verify

CONTENT, MANIFEST = small_model()


def refused(content: bytes, **changes) -> ModelRefused:
    """Verify a file whose manifest is right but for these changes, and return why it is refused."""
    with pytest.raises(ModelRefused) as caught:
        verify(content, manifest_for(content, **changes))
    assert "shapes@0" in str(caught.value)
    return caught.value


def test_a_model_as_its_manifest_says_classifies():
    classifier = verify(CONTENT, MANIFEST)
    found = classifier.probabilities(to_tensor(IMAGES, classifier.preprocess))
    np.testing.assert_allclose(found, expected_probabilities(), atol=1e-6)
    assert (classifier.name, classifier.version, classifier.labels) == ("shapes", 0, LABELS)


def test_a_file_over_the_limit_is_not_looked_into():
    with pytest.raises(ModelTooLarge, match=f"more than {len(CONTENT) - 1:,} bytes"):
        verify(CONTENT, MANIFEST, max_bytes=len(CONTENT) - 1)
    verify(CONTENT, MANIFEST, max_bytes=len(CONTENT))


def test_one_changed_bit_is_found():
    damaged = bytearray(CONTENT)
    damaged[-1] ^= 1
    with pytest.raises(ModelCorrupt, match=MANIFEST.sha256):
        verify(bytes(damaged), MANIFEST)


@pytest.mark.parametrize(
    "content",
    [CONTENT[:-1], CONTENT[: len(CONTENT) // 2], CONTENT[:2], b"\x80", b"PK\x03\x04" + bytes(50), b"{}"],
)
def test_what_is_not_a_whole_onnx_file_is_refused(content):
    error = refused(content)
    assert isinstance(error, NotOnnx)
    assert "Copy it again, or export it again" in str(error)


def test_a_file_without_bytes_is_refused():
    assert isinstance(refused(b""), ModelEmpty)


def test_onnx_runtimes_own_format_is_refused():
    assert isinstance(refused(b"\x24\0\0\0ORTM" + CONTENT), NotOnnx)


def outside(tensor: TensorProto, location: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


@pytest.mark.parametrize(
    "location", ["weights.bin", "./model.onnx", "/etc/passwd", "../../secret", "*/_ORT_MEM_ADDR_/*"]
)
def test_weights_in_another_file_are_refused_inside_and_outside_of_its_folder(location):
    model = onnx_model()
    outside(model.graph.initializer[0], location)
    error = refused(model.SerializeToString())
    assert isinstance(error, ExternalData)
    assert f"'weights' in another file, {location!r}" in str(error)


def test_another_file_that_is_not_named_is_refused():
    model = onnx_model()
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    assert isinstance(refused(model.SerializeToString()), ExternalData)


def test_the_reason_stays_short_whatever_names_the_file_holds():
    long = "w" * 1_000_000
    model = onnx_model()
    model.graph.initializer[0].name = long
    outside(model.graph.initializer[0], long)
    refusals = [
        refused(model.SerializeToString()),
        refused(onnx_file([helper.make_node(long, ["image"], ["probabilities"], domain=long)])),
        refused(onnx_file([helper.make_node(long, ["image"], ["probabilities"])])),
        refused(onnx_file(reads=(long, FLOAT, ["n", PIXELS]))),
        refused(onnx_file(reads=("image", FLOAT, ["n"] * 1000))),
        refused(onnx_file(answers=(long, FLOAT, ["n", 3]))),
    ]
    kinds = [ExternalData, CustomOperator, NotRunnable, WrongSignature, WrongSignature, WrongSignature]
    assert [type(refusal) for refusal in refusals] == kinds
    assert max(len(str(refusal)) for refusal in refusals) < 1000


def test_another_file_deep_inside_is_found():
    constant = numpy_helper.from_array(WEIGHTS, "hidden")
    outside(constant, "weights.bin")
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["branch"], value=constant)],
        "branch",
        [],
        [helper.make_tensor_value_info("branch", FLOAT, WEIGHTS.shape)],
    )
    nodes = [
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("If", ["yes"], ["chosen"], then_branch=branch, else_branch=branch),
        helper.make_node("MatMul", ["image", "chosen"], ["sums"]),
        helper.make_node("Softmax", ["sums"], ["probabilities"], axis=1),
    ]
    error = refused(onnx_file(nodes))
    assert isinstance(error, ExternalData)
    assert "hidden" in str(error)


@pytest.mark.parametrize("domain", ["com.microsoft", "my.company"])
def test_operators_of_other_domains_are_refused(domain):
    nodes = [
        helper.make_node("FusedMatMul", ["image", "weights"], ["sums"], domain=domain),
        helper.make_node("Softmax", ["sums"], ["probabilities"], axis=1),
    ]
    error = refused(onnx_file(nodes, domains=("", domain)))
    assert isinstance(error, CustomOperator)
    assert domain in str(error)


@pytest.mark.parametrize(
    ("reads", "says"),
    [
        (("picture", FLOAT, ["n", PIXELS]), "'picture'"),
        (("image", FLOAT, ["n", PIXELS + 1]), "[n, 13]"),
        (("image", FLOAT, ["n", HEIGHT, WIDTH]), "[n, 3, 4]"),
        (("image", FLOAT, [1, PIXELS]), "[1, 12]"),
        (("image", FLOAT, None), "any shape"),
        (("image", TensorProto.DOUBLE, ["n", PIXELS]), "double"),
        (("image", TensorProto.STRING, ["n", PIXELS]), "string"),
    ],
)
def test_another_input_is_refused(reads, says):
    error = refused(onnx_file(reads=reads))
    assert isinstance(error, WrongSignature)
    assert says in str(error)


def test_a_size_that_the_file_leaves_open_is_the_manifests():
    content = onnx_file(reads=("image", FLOAT, ["n", "any"]))
    assert verify(content, manifest_for(content)).labels == LABELS


def test_a_size_that_is_open_and_does_not_run_is_refused():
    weights = np.vstack([WEIGHTS, WEIGHTS[:1]])
    assert isinstance(refused(onnx_file(reads=("image", FLOAT, ["n", "any"]), weights=weights)), NotRunnable)


def test_a_second_input_is_refused():
    model = onnx_model()
    model.graph.input.append(helper.make_tensor_value_info("mask", FLOAT, ["n", 1]))
    error = refused(model.SerializeToString())
    assert isinstance(error, WrongSignature)
    assert "'image', 'mask'" in str(error)


def test_weights_that_are_listed_as_inputs_are_not_inputs():
    model = onnx_model()
    model.graph.input.append(helper.make_tensor_value_info("weights", FLOAT, WEIGHTS.shape))
    content = model.SerializeToString()
    assert verify(content, manifest_for(content)).labels == LABELS


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (("label", FLOAT, ["n", 3]), WrongSignature),
        (("probabilities", TensorProto.INT64, ["n", 3]), WrongSignature),
        (("probabilities", FLOAT, ["n"]), WrongSignature),
        (("probabilities", FLOAT, [1, 3]), WrongSignature),
        (("probabilities", FLOAT, None), WrongSignature),
        (("probabilities", FLOAT, ["n", 4]), WrongLabelCount),
    ],
)
def test_another_output_is_refused(answers, kind):
    assert type(refused(onnx_file(answers=answers))) is kind


def test_an_output_of_a_size_it_does_not_declare_is_counted():
    content = onnx_file(
        answers=("probabilities", FLOAT, ["n", "any"]), weights=np.hstack([WEIGHTS, WEIGHTS[:, :1]])
    )
    error = refused(content)
    assert isinstance(error, WrongLabelCount)
    assert "3 labels" in str(error)


@pytest.mark.parametrize("labels", [LABELS[:2], (*LABELS, "heart")])
def test_more_or_fewer_labels_than_outputs_are_refused(labels):
    assert isinstance(refused(CONTENT, labels=labels), WrongLabelCount)


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("NoSuchOperator", ["image"], ["probabilities"])],
        [linear(), helper.make_node("Softmax", ["nowhere"], ["probabilities"])],
        [helper.make_node("Softmax", ["image"], ["probabilities"]), linear(answers="probabilities")],
    ],
)
def test_a_graph_that_cannot_be_loaded_is_refused(nodes):
    assert isinstance(refused(onnx_file(nodes)), NotRunnable)


def test_a_graph_that_fails_when_it_runs_is_refused():
    assert isinstance(refused(failing_file()), NotRunnable)


def test_a_graph_that_takes_one_image_only_is_refused():
    golden = MANIFEST.golden[:1]
    shape = helper.make_node(
        "Constant", [], ["shape"], value=numpy_helper.from_array(np.array([1, len(LABELS)]))
    )
    nodes = [
        linear(),
        shape,
        helper.make_node("Reshape", ["sums", "shape"], ["one"]),
        helper.make_node("Softmax", ["one"], ["probabilities"], axis=1),
    ]
    assert isinstance(refused(onnx_file(nodes), golden=golden), NotRunnable)


def test_every_batch_of_a_verification_has_a_limit(monkeypatch):
    limits = []
    answer = OnnxClassifier.probabilities

    def probabilities(self, tensor, limit_s):
        limits.append(limit_s)
        return answer(self, tensor, limit_s if self.manifest == MANIFEST else 0.1)

    monkeypatch.setattr(OnnxClassifier, "probabilities", probabilities)
    verify(CONTENT, MANIFEST)
    assert limits == [MAX_BATCH_S] * 3, "the golden images, and two batches to warm up with"
    assert isinstance(refused(endless_file()), TooSlow)


def scaled(factor: float) -> list[onnx.NodeProto]:
    return [
        linear(),
        helper.make_node("Softmax", ["sums"], ["shares"], axis=1),
        helper.make_node("Constant", [], ["factor"], value=numpy_helper.from_array(np.float32(factor))),
        helper.make_node("Mul", ["shares", "factor"], ["probabilities"]),
    ]


@pytest.mark.parametrize(
    "nodes",
    [
        [linear(answers="probabilities")],
        [linear(), helper.make_node("Sigmoid", ["sums"], ["probabilities"])],
        [linear(), helper.make_node("LogSoftmax", ["sums"], ["probabilities"], axis=1)],
        scaled(1.01),
        scaled(0),
    ],
)
def test_answers_that_are_not_probabilities_are_refused(nodes):
    assert isinstance(refused(onnx_file(nodes)), NotADistribution)


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_answers_that_are_not_finite_are_refused(factor):
    error = refused(onnx_file(scaled(factor)))
    assert isinstance(error, NotFinite)
    assert "NaN or infinity" in str(error)


def test_weights_that_are_not_numbers_are_refused():
    weights = WEIGHTS.copy()
    weights[:, 1] = np.nan
    error = refused(onnx_file(weights=weights))
    assert isinstance(error, NotFinite)


def test_other_weights_than_when_it_was_made_are_found_by_the_golden_images():
    weights = WEIGHTS.copy()
    weights[:, 0] += 0.05
    error = refused(onnx_file(weights=weights))
    assert isinstance(error, GoldenMismatch)


def test_another_preprocessing_than_when_it_was_made_is_found_by_the_golden_images():
    preprocess = Preprocess(WIDTH, HEIGHT, threshold=200)
    error = refused(CONTENT, input=ModelInput("image", (PIXELS,), "float32", preprocess))
    assert isinstance(error, GoldenMismatch)


def test_rounding_of_another_processor_is_allowed():
    golden = tuple(
        replace(one, probabilities=tuple(p + 1e-5 for p in one.probabilities)) for one in MANIFEST.golden
    )
    assert verify(CONTENT, manifest_for(CONTENT, golden=golden)).labels == LABELS


def test_colour_images_with_channels_first_are_fed_as_they_were():
    images = np.random.default_rng(1).integers(0, 256, size=(2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    preprocess = Preprocess(
        WIDTH, HEIGHT, channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), layout="nchw"
    )
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Softmax", ["means"], ["probabilities"], axis=1),
    ]
    content = onnx_file(nodes, reads=("image", FLOAT, ["n", 3, HEIGHT, WIDTH]))
    means = ((images / 255 - preprocess.mean) / preprocess.std).mean(axis=(1, 2))
    shares = np.exp(means) / np.exp(means).sum(axis=1, keepdims=True)
    golden = tuple(
        replace(MANIFEST.golden[0], pixels=image.tobytes(), probabilities=tuple(share))
        for image, share in zip(images, shares.tolist(), strict=True)
    )
    manifest = manifest_for(
        content, input=ModelInput("image", (3, HEIGHT, WIDTH), "float32", preprocess), golden=golden
    )
    found = verify(content, manifest).probabilities(to_tensor(images, preprocess))
    np.testing.assert_allclose(found, shares, atol=1e-5)


def test_a_name_of_an_output_that_is_not_the_manifests_is_refused():
    assert isinstance(refused(CONTENT, output=ModelOutput("answers")), WrongSignature)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused_or_still_the_same_model(data):
    damaged = bytearray(CONTENT)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(damaged)
    try:
        classifier = verify(content, manifest_for(content))
    except ModelRefused:
        return
    found = classifier.probabilities(to_tensor(IMAGES, classifier.preprocess))
    np.testing.assert_allclose(found, expected_probabilities(), atol=2e-3)


def test_nothing_is_printed_for_a_file_that_cannot_be_loaded(capfd):
    assert isinstance(refused(onnx_file([helper.make_node("NoSuchOperator", ["image"], ["x"])])), NotRunnable)
    assert capfd.readouterr() == ("", "")
