"""Small ONNX models and their manifests, made here for the tests: images of 4x3 pixels, three labels."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from flumen.interceptor.classifier import Preprocess
from flumen.models.manifest import UNREGISTERED, Golden, Manifest, ModelInput, ModelOutput

WIDTH, HEIGHT, PIXELS = 4, 3, 12
LABELS = ("circle", "square", "star")
OPSET = 13

FLOAT = TensorProto.FLOAT
WEIGHTS = np.random.default_rng(7).normal(size=(PIXELS, len(LABELS))).astype(np.float32)
IMAGES = np.random.default_rng(8).integers(0, 256, size=(4, HEIGHT, WIDTH), dtype=np.uint8)


def onnx_file(
    nodes: Sequence[onnx.NodeProto] = (),
    *,
    reads: tuple[str, int, Sequence[Any]] = ("image", FLOAT, ["n", PIXELS]),
    answers: tuple[str, int, Sequence[Any] | None] = ("probabilities", FLOAT, ["n", len(LABELS)]),
    weights: NDArray[Any] = WEIGHTS,
    domains: Sequence[str] = ("",),
) -> bytes:
    """Return softmax(image @ weights) as an ONNX file; each part can be another one."""
    return onnx_model(
        nodes, reads=reads, answers=answers, weights=weights, domains=domains
    ).SerializeToString()


def onnx_model(
    nodes: Sequence[onnx.NodeProto] = (),
    *,
    reads: tuple[str, int, Sequence[Any]] = ("image", FLOAT, ["n", PIXELS]),
    answers: tuple[str, int, Sequence[Any] | None] = ("probabilities", FLOAT, ["n", len(LABELS)]),
    weights: NDArray[Any] = WEIGHTS,
    domains: Sequence[str] = ("",),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes or [linear(reads[0]), helper.make_node("Softmax", ["sums"], [answers[0]], axis=1)],
        "small",
        [helper.make_tensor_value_info(*reads)],
        [helper.make_tensor_value_info(*answers)],
        [numpy_helper.from_array(weights, "weights")],
    )
    opsets = [helper.make_opsetid(domain, 1 if domain else OPSET) for domain in domains]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def linear(reads: str = "image", answers: str = "sums") -> onnx.NodeProto:
    return helper.make_node("MatMul", [reads, "weights"], [answers])


def expected_probabilities(weights: NDArray[np.float32] = WEIGHTS) -> NDArray[np.float64]:
    sums = (IMAGES.reshape(-1, PIXELS) > 30).astype(np.float64) @ weights.astype(np.float64)
    powers = np.exp(sums - sums.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def manifest_for(content: bytes, **changes: Any) -> Manifest:
    """Return the manifest of an ONNX file that computes softmax(image @ WEIGHTS), with changes."""
    manifest = Manifest(
        name="shapes",
        version=UNREGISTERED,
        sha256=hashlib.sha256(content).hexdigest(),
        input=ModelInput("image", (PIXELS,), "float32", Preprocess(WIDTH, HEIGHT, threshold=30)),
        output=ModelOutput("probabilities"),
        labels=LABELS,
        training=None,
        scores=None,
        profile=None,
        golden=tuple(
            Golden(image.tobytes(), tuple(answer))
            for image, answer in zip(IMAGES, expected_probabilities().tolist(), strict=True)
        ),
    )
    return replace(manifest, **changes)


def small_model() -> tuple[bytes, Manifest]:
    content = onnx_file()
    return content, manifest_for(content)


def endless_file() -> bytes:
    """Return an ONNX file whose answer stands at the end of a loop of 2**62 rounds."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["goes_on_still"]),
            helper.make_node("Identity", ["before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes_on_still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", FLOAT, None),
        ],
    )
    rounds, yes = (numpy_helper.from_array(np.array(value)) for value in (2**62, True))
    return onnx_file(
        [
            helper.make_node("Constant", [], ["rounds"], value=rounds),
            helper.make_node("Constant", [], ["yes"], value=yes),
            linear(),
            helper.make_node("Loop", ["rounds", "yes", "sums"], ["done"], body=body),
            helper.make_node("Softmax", ["done"], ["probabilities"], axis=1),
        ]
    )


def failing_file() -> bytes:
    """Return an ONNX file that loads, and whose every batch fails."""
    shape = helper.make_node("Constant", [], ["shape"], value=numpy_helper.from_array(np.array([7, 5, 3])))
    return onnx_file(
        [
            linear(),
            shape,
            helper.make_node("Reshape", ["sums", "shape"], ["cube"]),
            helper.make_node("ReduceSum", ["cube"], ["flat"], keepdims=0),
            helper.make_node("Add", ["sums", "flat"], ["probabilities"]),
        ]
    )


def folding_file(side: int, products: int) -> bytes:
    """Return an ONNX file of few bytes whose session is made by so many products of matrices of side x side."""
    shape = numpy_helper.from_array(np.array([side, side], np.int64))
    one = numpy_helper.from_array(np.array([1e-4], np.float32))
    chain = [
        helper.make_node("MatMul", [f"power{number}", "power0"], [f"power{number + 1}"])
        for number in range(products)
    ]
    return onnx_file(
        [
            helper.make_node("Constant", [], ["shape"], value=shape),
            helper.make_node("ConstantOfShape", ["shape"], ["power0"], value=one),
            *chain,
            helper.make_node("ReduceMin", [f"power{products}"], ["least"], keepdims=0),
            linear(),
            helper.make_node("Add", ["sums", "least"], ["moved"]),
            helper.make_node("Softmax", ["moved"], ["probabilities"], axis=1),
        ]
    )


def file_of_many_parts(parts: int) -> bytes:
    """Return an ONNX file with so many nodes without anything in them, of two bytes each."""
    nodes = b"\x0a\x00" * parts
    length, rest = [], len(nodes)
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    return (
        onnx_file() + b"\x3a" + bytes([*length, rest]) + nodes
    )  # a second graph, which protobuf joins to the first
