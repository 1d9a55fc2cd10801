"""PyTorch modules that classify: the network of `convnet`, what is checked of others, the export.

Importing this module imports torch, and says where it is missing: import it before `torch_training`.
"""

import logging
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from flumen.interceptor.classifier import Preprocess
from flumen.models.errors import BadParameters, ExtraMissing, TrainingFailed
from flumen.models.trainers.tensors import INPUT_TENSOR, OUTPUT_TENSOR

try:
    import torch
    from torch import nn
except ImportError as error:
    raise ExtraMissing(
        "this trainer needs torch, which is not installed: pip install 'flumen-ingest[torch]'"
    ) from error

ModuleFactory = Callable[[int, int, int, int], Any]
"""Makes a module for images of (channels, height, width) and so many classes.

The module takes float32, n x channels x height x width, and answers with float32, n x classes, of which softmax makes
probabilities.
"""

OPSET = 18
"""The lowest that torch's exporter writes without converting."""

_NOT_INSTALLED = "torch.onnx._internal.exporter._registration"
"""The logger that says of operators of torchvision, which are not used, that they are not there."""

_KERNEL = 3


class ChannelsFirst(nn.Module):  # type: ignore[misc]  # torch has no types here, installed or not
    """Turns the tensor of any preprocessing into n x channels x height x width."""

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        self._layout = preprocess.layout
        self._size = (preprocess.height, preprocess.width, preprocess.channels)

    def forward(self, tensor: Any) -> Any:
        """Return the images in torch's order."""
        if self._layout == "nchw":
            return tensor
        return tensor.reshape(-1, *self._size).permute(0, 3, 1, 2)


def convolutional(
    channels: int, height: int, width: int, classes: int, *, hidden: tuple[int, ...], dropout: float
) -> Any:
    """Return a network of 3x3 convolutions for images of any size.

    Each layer: convolution, batch normalisation (Ioffe and Szegedy, ICML 2015), ReLU, and the largest of each 2x2. What
    is left is averaged over all places (Lin, Chen and Yan, Network in network, ICLR 2014), so the size of the images
    decides on no weight.
    """
    layers: list[Any] = []
    for before, after in pairwise((channels, *hidden)):
        pooled = (min(2, height), min(2, width))
        layers += [
            nn.Conv2d(before, after, _KERNEL, padding=_KERNEL // 2, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.MaxPool2d(pooled),
        ]
        height, width = height // pooled[0], width // pooled[1]
    last = (channels, *hidden)[-1]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(last, classes)
    )


def check_module(module: Any, preprocess: Preprocess, classes: int) -> None:
    """Check, before hours are spent on it, that a module answers images as `ModuleFactory` says, and can be exported.

    Raises:
        BadParameters: it is no module of torch.
        TrainingFailed: it does not, or cannot.
    """
    if not isinstance(module, nn.Module):
        raise BadParameters(
            f"the function returns {type(module).__name__}; it has to return a torch.nn.Module"
        )
    if not any(one.requires_grad for one in module.parameters()):
        raise TrainingFailed("the module has no weights that may be trained: all have requires_grad=False")
    size = (preprocess.channels, preprocess.height, preprocess.width)
    try:
        with torch.inference_mode():
            found = tuple(module.eval()(torch.zeros(2, *size)).shape)
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise TrainingFailed(
            f"the module does not take images of 2x{'x'.join(map(str, size))}: {error}"
        ) from error
    if found != (2, classes):
        raise TrainingFailed(
            f"the module answers two images with values of shape {found}, and there are {classes} classes; it has to "
            f"answer with (2, {classes}), before softmax"
        )
    module_onnx(module, size)


def module_onnx(module: Any, shape: tuple[int, ...]) -> bytes:
    """Return a module as ONNX: `image` float32 [n, *shape] in, `probabilities` float32 [n, labels] out.

    Raises:
        TrainingFailed: torch's exporter does not understand it.
    """
    logger = logging.getLogger(_NOT_INSTALLED)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter about itself
            program = torch.onnx.export(
                module.eval(),
                (torch.zeros(2, *shape),),
                input_names=[INPUT_TENSOR],
                output_names=[OUTPUT_TENSOR],
                dynamic_shapes=({0: torch.export.Dim("n")},),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = next((line for line in str(error.__cause__ or error).splitlines() if line.strip()), "")
        raise TrainingFailed(
            f"torch cannot export the module as ONNX: {reason.strip()}. What it computes may not depend on how many "
            "images there are, nor branch on what they hold"
        ) from error
    finally:
        logger.setLevel(level)
    model = program.model_proto
    graph = model.graph
    # How the exporter got there, with paths of this machine's files in it.
    for part in (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    ):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return bytes(model.SerializeToString(deterministic=True))
