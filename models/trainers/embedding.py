"""Letting a network that was trained give its last hidden layer beside its answer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess
from flumen.models.errors import TrainingFailed
from flumen.models.trainers.tensors import EMBEDDING_TENSOR, OUTPUT_TENSOR
from flumen.models.trainers.trainer import Progress, Task, Trained, Trainer

_LAYERS = ("MatMul", "Gemm")
_PASSING = (*_LAYERS, "Add", "Softmax", "Identity")
"""What may stand between the last hidden layer and the answer."""


@dataclass(frozen=True, slots=True)
class TrainerWithEmbedding:
    """A trainer whose models name their last hidden layer as their embedding. It learns as `trainer` does."""

    trainer: Trainer

    @property
    def name(self) -> str:
        """What `--trainer` calls it."""
        return self.trainer.name

    @property
    def summary(self) -> str:
        """What it is, in one line."""
        return self.trainer.summary

    @property
    def parameters(self) -> type[Any]:
        """The class of its parameters."""
        return self.trainer.parameters

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions that decide on what comes out."""
        return self.trainer.packages

    def preprocess(self, pixels: NDArray[np.uint8]) -> Preprocess:
        """Return how it wants to see images like these."""
        return self.trainer.preprocess(pixels)

    def train(self, task: Task, parameters: Any) -> "TrainedWithEmbedding":
        """Learn. Raises as `trainer`; of what has no hidden layer, `TrainedWithEmbedding.to_onnx` says so."""
        return TrainedWithEmbedding(self.trainer.train(task, parameters))


@dataclass(frozen=True, slots=True)
class TrainedWithEmbedding:
    """What a trainer has made, whose ONNX file also gives `embedding`."""

    trained: Trained

    @property
    def rounds(self) -> tuple[Progress, ...]:
        """Every round, in order."""
        return self.trained.rounds

    @property
    def facts(self) -> dict[str, int | float | str]:
        """What the manifest says of it beside the parameters."""
        return self.trained.facts

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer as the trainer's own library does."""
        return self.trained.probabilities(tensor)

    def to_onnx(self) -> bytes:
        """Return it as ONNX.

        Raises:
            TrainingFailed: it has no hidden layer.
        """
        return with_last_hidden(self.trained.to_onnx())


def with_last_hidden(content: bytes) -> bytes:
    """Return an ONNX file of a network that gives `embedding` as well: float32, n x neurons of its last hidden layer.

    That is what the last product of matrices before `probabilities` is made of.

    Raises:
        TrainingFailed: there is none, or it is the image itself.
    """
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load_model_from_string(content)
    graph = model.graph
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    node = made_by[OUTPUT_TENSOR]
    while node is not None and node.op_type in _PASSING and node.op_type not in _LAYERS:
        before = [name for name in node.input if name not in weights]
        node = made_by.get(before[0])
    if node is None or node.op_type not in _LAYERS or not _is_made(node.input[0], made_by):
        raise TrainingFailed(
            "the model has no hidden layer, so that there is nothing to be its embedding. Leave out --embedding, or "
            "choose a trainer of networks: network, convnet, finetune"
        )
    hidden = node.input[0]
    shape = weights[node.input[1]]
    is_turned = any(one.name == "transB" and one.i for one in node.attribute)
    for each in graph.node:
        each.input[:] = [EMBEDDING_TENSOR if name == hidden else name for name in each.input]
        each.output[:] = [EMBEDDING_TENSOR if name == hidden else name for name in each.output]
    for value in [value for value in graph.value_info if value.name == hidden]:
        graph.value_info.remove(value)
    batch = graph.output[0].type.tensor_type.shape.dim[0].dim_param or "n"
    size = shape[1] if is_turned else shape[0]
    graph.output.append(helper.make_tensor_value_info(EMBEDDING_TENSOR, TensorProto.FLOAT, [batch, size]))
    return bytes(model.SerializeToString(deterministic=True))


def _is_made(name: str, made_by: dict[str, Any]) -> bool:
    """Whether a tensor is more than the image in another shape."""
    node = made_by.get(name)
    while node is not None and node.op_type in ("Flatten", "Reshape", "Identity", "Cast"):
        node = made_by.get(node.input[0])
    return node is not None
