"""The trainer `finetune`: any PyTorch module, with or without weights, trained further."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess
from flumen.models.errors import BadParameters
from flumen.models.trainers.parameters import check_bounds, parameter
from flumen.models.trainers.tensors import valued_preprocess
from flumen.models.trainers.trainer import Task, Trained


@dataclass(frozen=True, slots=True)
class Parameters:
    """What one training differs in from another."""

    module: str = parameter(
        "", "module:function that is given channels, height, width, classes and makes a module"
    )
    rate: float = parameter(0.0003, "Learning rate at first; it falls to 0", low=1e-9, high=1e6)
    epochs: int = parameter(5, "Times through the images", low=1, high=10_000)
    batch_size: int = parameter(64, "Images a step", low=2, high=100_000)
    decay: float = parameter(0.01, "Decay of weights", low=0, high=1e6)
    patience: int = parameter(
        2, "Epochs without a better accuracy on the validation part before it stops; 0: never", low=0
    )

    def __post_init__(self) -> None:
        check_bounds(self)


class Finetune:
    """Any module of PyTorch."""

    name = "finetune"
    summary = "Any PyTorch module, trained further: --set module=my_modules:make (extra torch)"
    parameters = Parameters
    packages = ("numpy", "torch", "onnx", "onnxscript", "onnxruntime")

    def preprocess(self, pixels: NDArray[np.uint8]) -> Preprocess:
        """Return values 0 to 1, grey or in colour."""
        return valued_preprocess(pixels, "nchw")

    def train(self, task: Task, parameters: Any) -> Trained:
        """Learn.

        Raises:
            BadParameters: `module` names no function that can be called, or what it returns is no module of torch.
        """
        from flumen.models.trainers.torch_modules import check_module
        from flumen.models.trainers.torch_training import Schedule, train_module

        function = _function(parameters.module)

        def make(channels: int, height: int, width: int, classes: int) -> Any:
            try:
                module = function(channels, height, width, classes)
            except Exception as error:  # whatever it is, it is theirs
                raise BadParameters(
                    f"{parameters.module}({channels}, {height}, {width}, {classes}) raised {type(error).__name__}: "
                    f"{error}. It is given channels, height, width and the number of classes"
                ) from error
            check_module(module, task.preprocess, classes)
            return module

        schedule = Schedule(
            parameters.rate,
            parameters.decay,
            parameters.epochs,
            parameters.batch_size,
            parameters.patience,
        )
        return train_module(task, make, schedule)


def _function(name: str) -> Any:
    """Return what `module:function` names.

    Raises:
        BadParameters: it is not written so, or cannot be imported, or cannot be called.
    """
    place, colon, attribute = name.partition(":")
    if not (place and colon and attribute):
        raise BadParameters(
            f"module is {name!r}; name the function that makes the module, as --set module=my_modules:make"
        )
    try:
        function = getattr(import_module(place), attribute)
    except Exception as error:  # importing it runs its code, and whatever that raises is theirs
        raise BadParameters(
            f"module is {name!r}, which cannot be imported: {type(error).__name__}: {error}. For a file of this "
            "folder, set PYTHONPATH=."
        ) from error
    if not callable(function):
        raise BadParameters(f"{name} is {type(function).__name__}, which cannot be called")
    return function


FINETUNE = Finetune()
