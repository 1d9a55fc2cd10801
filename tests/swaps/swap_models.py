"""Versions of the model `mnist` that are made in no time and answer otherwise than each other."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.preprocess import to_tensor
from flumen.models.manifest import UNREGISTERED, Golden, Manifest, ModelInput, ModelOutput
from flumen.models.repository import Repository
from flumen.models.runtime import OnnxClassifier
from flumen.models.trainers.tensors import THRESHOLD
from flumen.streams.control.records import ModelRef

SIDE, LABELS = 28, tuple("0123456789")
IMAGES = np.random.default_rng(1).integers(0, 256, size=(10, SIDE, SIDE), dtype=np.uint8)
PREPROCESS = Preprocess(SIDE, SIDE, threshold=THRESHOLD)


SOFTMAX = (
    helper.make_node("MatMul", ["image", "weights"], ["sums"]),
    helper.make_node("Softmax", ["sums"], ["probabilities"], axis=1),
)


def softmax_model(seed: int, nodes: Sequence[NodeProto] = SOFTMAX) -> tuple[bytes, Manifest]:
    """softmax(image @ weights), with weights that only the seed knows; other nodes can make another answer of it."""
    weights = np.random.default_rng(seed).normal(scale=0.1, size=(SIDE * SIDE, len(LABELS)))
    graph = helper.make_graph(
        list(nodes),
        "softmax",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", SIDE * SIDE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(LABELS)])],
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    content = bytes(model.SerializeToString())
    manifest = Manifest(
        name="mnist",
        version=UNREGISTERED,
        sha256=hashlib.sha256(content).hexdigest(),
        input=ModelInput("image", (SIDE * SIDE,), "float32", PREPROCESS),
        output=ModelOutput("probabilities"),
        labels=LABELS,
        training=None,
        scores=None,
        profile=None,
        golden=(),
    )
    answers = OnnxClassifier(content, manifest).probabilities(to_tensor(IMAGES, PREPROCESS))
    golden = (
        Golden(image.tobytes(), tuple(row)) for image, row in zip(IMAGES, answers.tolist(), strict=True)
    )
    return content, replace(manifest, golden=tuple(golden))


def no_distribution_for_white() -> list[NodeProto]:
    """Nodes of a network that adds 5.4 to every probability of a white image, and nothing to any other's."""
    return [
        SOFTMAX[0],
        helper.make_node("Softmax", ["sums"], ["softmax"], axis=1),
        helper.make_node("ReduceMin", ["image"], ["white"], axes=[1], keepdims=1),
        helper.make_node("Constant", [], ["much"], value=numpy_helper.from_array(np.float32([5.4]))),
        helper.make_node("Mul", ["white", "much"], ["more"]),
        helper.make_node("Add", ["softmax", "more"], ["probabilities"]),
    ]


def never_ending_for_black() -> list[NodeProto]:
    """Nodes of a network that loops 2**40 times where an image of the batch is black, and else not once."""
    flag, value = TensorProto.BOOL, TensorProto.FLOAT
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["goes_on_still"]),
            helper.make_node("Identity", ["before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes_on", flag, []),
            helper.make_tensor_value_info("before", value, None),
        ],
        [
            helper.make_tensor_value_info("goes_on_still", flag, []),
            helper.make_tensor_value_info("after", value, None),
        ],
    )
    constants = {"one": np.float32(1), "many": np.float32(2**40), "yes": np.bool_(True)}
    return [
        *(
            helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(constant)))
            for name, constant in constants.items()
        ),
        SOFTMAX[0],
        helper.make_node("ReduceMax", ["image"], ["brightest"], axes=[1], keepdims=0),
        helper.make_node("ReduceMin", ["brightest"], ["light"], keepdims=0),
        helper.make_node("Sub", ["one", "light"], ["dark"]),
        helper.make_node("Mul", ["dark", "many"], ["times"]),
        helper.make_node("Cast", ["times"], ["rounds"], to=TensorProto.INT64),
        helper.make_node("Loop", ["rounds", "yes", "sums"], ["done"], body=body),
        helper.make_node("Softmax", ["done"], ["probabilities"], axis=1),
    ]


def register(repository: Repository, seed: int, nodes: Sequence[NodeProto] = SOFTMAX) -> ModelRef:
    """Make the next version."""
    content, manifest = softmax_model(seed, nodes)
    return ModelRef(repository.register(content, manifest), manifest.sha256)


def folding_file(side: int, products: int) -> bytes:
    """Few bytes, whose session is made by so many products of matrices of side x side."""
    shape = numpy_helper.from_array(np.array([side, side], np.int64))
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], ["shape"], value=shape),
            helper.make_node("ConstantOfShape", ["shape"], ["power0"]),
            *(
                helper.make_node("MatMul", [f"power{number}", "power0"], [f"power{number + 1}"])
                for number in range(products)
            ),
            helper.make_node("ReduceMin", [f"power{products}"], ["least"], keepdims=0),
            helper.make_node("Slice", ["image", "from", "to", "axis"], ["sums"]),
            helper.make_node("Add", ["sums", "least"], ["moved"]),
            helper.make_node("Softmax", ["moved"], ["probabilities"], axis=1),
        ],
        "folding",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", SIDE * SIDE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(LABELS)])],
        [
            numpy_helper.from_array(np.array([value], np.int64), name)
            for name, value in (("from", 0), ("to", len(LABELS)), ("axis", 1))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())
