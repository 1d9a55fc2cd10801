"""A model as large as those for photos are: what it takes to prepare one is seconds, not milliseconds."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from flumen.models.describing import describe_model, make_images
from flumen.models.manifest import Manifest
from flumen.models.structure import read_signature

HIDDEN = (4800, 4000)
"""Units of the hidden layers: 23 million weights with the digits' 784 inputs, 92 MB; ResNet-50 has 25 million."""


def large_model(alike: Manifest, hidden: Sequence[int] = HIDDEN) -> tuple[bytes, Manifest]:
    """Return an ONNX file that reads and answers as that manifest says, its weights random, and its own manifest."""
    image, answer = alike.input.tensor, alike.output.tensor
    sizes = (*alike.input.shape, *hidden, len(alike.labels))
    rng = np.random.default_rng(0)
    weights, nodes, former = [], [], image
    for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
        values = rng.normal(scale=inputs**-0.5, size=(inputs, outputs)).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"weights{layer}"))
        nodes.append(helper.make_node("MatMul", [former, f"weights{layer}"], [f"sums{layer}"]))
        nodes.append(helper.make_node("Relu", [f"sums{layer}"], [f"units{layer}"]))
        former = f"units{layer}"
    nodes[-1] = helper.make_node("Softmax", [f"sums{len(sizes) - 2}"], [answer], axis=1)
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info(image, TensorProto.FLOAT, ["n", *alike.input.shape])],
        [helper.make_tensor_value_info(answer, TensorProto.FLOAT, ["n", len(alike.labels)])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    content = bytes(model.SerializeToString())
    preprocess = alike.input.preprocess
    signature = read_signature(content, "the large model")
    images = make_images(preprocess)
    return content, describe_model(content, alike.name, alike.labels, preprocess, signature, images)
