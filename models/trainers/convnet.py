"""The trainer `convnet`: a small convolutional network for images of any size, by PyTorch."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess
from flumen.models.trainers.parameters import check_bounds, parameter
from flumen.models.trainers.tensors import valued_preprocess
from flumen.models.trainers.trainer import Task, Trained


@dataclass(frozen=True, slots=True)
class Parameters:
    """What one training differs in from another."""

    rate: float = parameter(0.004, "Learning rate at first; it falls to 0", low=1e-9, high=1e6)
    epochs: int = parameter(5, "Times through the images", low=1, high=10_000)
    batch_size: int = parameter(128, "Images a step", low=2, high=100_000)
    channels: tuple[int, ...] = parameter((16, 32, 64), "Channels of each layer", low=1, high=10_000)
    dropout: float = parameter(0.1, "Share of values left out before the last layer", low=0, high=0.95)
    decay: float = parameter(0.01, "Decay of weights", low=0, high=1e6)
    patience: int = parameter(
        0, "Epochs without a better accuracy on the validation part before it stops; 0: never", low=0
    )

    def __post_init__(self) -> None:
        check_bounds(self)


class Convnet:
    """A small convolutional network."""

    name = "convnet"
    summary = "A small convolutional network for images of any size, by PyTorch (extra torch)"
    parameters = Parameters
    packages = ("numpy", "torch", "onnx", "onnxscript", "onnxruntime")

    def preprocess(self, pixels: NDArray[np.uint8]) -> Preprocess:
        """Return values 0 to 1, grey or in colour."""
        return valued_preprocess(pixels, "nchw")

    def train(self, task: Task, parameters: Any) -> Trained:
        """Learn."""
        from flumen.models.trainers.torch_modules import convolutional
        from flumen.models.trainers.torch_training import Schedule, train_module

        schedule = Schedule(
            parameters.rate,
            parameters.decay,
            parameters.epochs,
            parameters.batch_size,
            parameters.patience,
        )
        make = partial(convolutional, hidden=parameters.channels, dropout=parameters.dropout)
        return train_module(task, make, schedule)


CONVNET = Convnet()
