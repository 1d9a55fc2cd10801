"""The seam between an interceptor and a model: what a classifier is, and how its input is prepared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How decoded pixels become the classifier's input tensor.

    `width` and `height` in pixels; `channels` 1 (grey) or 3 (RGB). With a `threshold`, a value above it becomes
    1.0 and any other 0.0, as in the article. Without one, a value becomes (value * scale - mean) / std a channel.
    `layout` is the order of axes behind the batch axis; "flat" is one vector of height * width * channels.

    `resize` says what becomes of an image of other proportions: "stretch" changes them; "crop" takes the largest part
    from the middle that has the model's, and of that the share `crop` a side (0.875 is 224 out of 256); "pad" takes
    all, and fills what is left over with the value `fill`. `resampling` is "bilinear", "bicubic" or "nearest", the
    first two with antialiasing.
    """

    width: int
    height: int
    channels: int = 1
    threshold: int | None = None
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: str = "flat"  # "flat", "nchw" or "nhwc"
    resize: str = "stretch"  # "stretch", "crop" or "pad"
    crop: float = 1.0
    fill: int = 0
    resampling: str = "bilinear"  # "bilinear", "bicubic" or "nearest"

    @property
    def picture(self) -> tuple[object, ...]:
        """All that decides on the pixels; models that agree in it can share them."""
        size = (self.width, self.height, self.channels)
        return (*size, self.resize, self.crop, self.fill, self.resampling)


class Embedding(Protocol):
    """A classifier that can say more of an image than its class: where it lies among others, as a vector."""

    @property
    def embedding_size(self) -> int | None:
        """The dimensions of that vector; None where this model names none, and is to be asked as any other."""

    def with_embeddings(self, tensor: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return in one run `Classifier.probabilities`, and float32, n x `embedding_size`."""


class Classifier(Protocol):
    """A loaded and verified model."""

    @property
    def name(self) -> str:
        """The model's name, such as `mnist`."""

    @property
    def version(self) -> int:
        """The model's version, 1 or more."""

    @property
    def labels(self) -> Sequence[str]:
        """The name of each class; position = the prediction."""

    @property
    def preprocess(self) -> Preprocess:
        """How its input is prepared."""

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify a batch: input as `preprocess` says, n rows; output n x len(labels), each row sums to 1."""
