"""What a trainer is: what it is given, what it gives back, and how one is found.

A package registers one under the entry point group `flumen.trainers`, by the trainer's name: an object as `Trainer`
describes it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess
from flumen.models.datasets.dataset import Labelled
from flumen.models.errors import UnknownTrainer

ENTRY_POINT_GROUP = "flumen.trainers"

DEFAULT_SEED = 123
"""The first of the article's list of seeds."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How training stands after a round (an epoch, a tree of each class).

    `number` of `total` rounds; `loss`: the mean over the round, None where there is none; `accuracy`: on the
    validation part, None without one; `seconds`: since the start.
    """

    number: int
    total: int
    loss: float | None
    accuracy: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be learnt.

    `validation` decides when to stop early and which round is the best; it is never learnt from. `labels` names the
    classes, position = label. `seed` is that of all chance. `report` is called after each round; it returns whether to
    go on, and where it does not, the best so far is the result. `class_weights`: how much an image of each label counts
    beside one of another; None for all alike.
    """

    train: Labelled
    validation: Labelled | None
    labels: tuple[str, ...]
    preprocess: Preprocess
    seed: int
    report: Callable[[Progress], bool]
    class_weights: tuple[float, ...] | None = None


class Trained(Protocol):
    """What a trainer has made."""

    @property
    def rounds(self) -> tuple[Progress, ...]:
        """Every round, in order."""

    @property
    def facts(self) -> dict[str, int | float | str]:
        """What the manifest says of it beside the parameters, such as `best_epoch`."""

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer as the trainer's own library does: the tensor as `to_tensor` makes it, n x labels out."""

    def to_onnx(self) -> bytes:
        """Return it as ONNX: `image` float32 [n, *shape] in, `probabilities` float32 [n, labels] out.

        It may also give `embedding` float32 [n, dimensions], which the manifest then names.
        """


class Trainer(Protocol):
    """A way to learn.

    `parameters` is a frozen dataclass whose every field has a default and is an int, a float, a str, a bool or a tuple
    of ints; it raises `BadParameters` for a value out of bounds. `parameter` and `check_bounds` of
    `flumen.models.trainers.parameters` declare bounds and a meaning for each.
    """

    @property
    def name(self) -> str:
        """What `--trainer` calls it."""

    @property
    def summary(self) -> str:
        """What it is, in one line."""

    @property
    def parameters(self) -> type[Any]:
        """The class of its parameters."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions whose versions decide on what comes out; the manifest names them."""

    def preprocess(self, pixels: NDArray[np.uint8]) -> Preprocess:
        """Return how it wants to see images like these, where the data set does not say."""

    def train(self, task: Task, parameters: Any) -> Trained:
        """Learn. The same task, parameters and processor give the same result.

        Raises:
            Diverged: the weights left the range of numbers; an experiment keeps that as a result. Where rounds went
                well before, what they left goes with it.
            TrainingFailed: the images, or the parameters, are not such as it learns from.
            ExtraMissing: a package is not installed; the message names the extra.
        """


def trainer_names() -> list[str]:
    """Return the names of all trainers that are installed, sorted."""
    return sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)})


def find_trainer(name: str) -> Trainer:
    """Return the trainer of that name.

    Raises:
        UnknownTrainer: no installed package registers it, or the package that does cannot be imported.
    """
    points = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in points:
        near = get_close_matches(name, points, n=1)
        raise UnknownTrainer(
            f"no trainer is named {name!r}{f'; did you mean {near[0]!r}?' if near else '.'} "
            f"Installed are: {', '.join(sorted(points))}. "
            f"A package registers one under the entry point group {ENTRY_POINT_GROUP!r}"
        )
    try:
        trainer: Trainer = points[name].load()
    except (ImportError, AttributeError) as error:
        raise UnknownTrainer(
            f"the trainer {name!r} is registered as {points[name].value!r}, which cannot be imported: {error}. "
            "Install its package anew"
        ) from error
    return trainer
