"""An epoch of a data set as batches that a trainer reads: shuffled, in the model's own numbers, from any position."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor import Preprocess
from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import Labelled
from flumen.models.datasets.order import epoch_order
from flumen.models.errors import DatasetInvalid

Batch = tuple[NDArray[np.float32], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Batches:
    """The images of one epoch, as an iterable of `(tensor, labels)`; each iteration gives the same.

    A tensor is float32, as `flumen.interceptor.preprocess.to_tensor` makes it: n x features in the layout `flat`. All
    batches have `size` images, but for the last. `seed` and `epoch` decide on the order; `start` is the number of the
    first batch, to go on within an epoch. With `workers`, only each batch is given whose turn it is: those numbered
    `worker`, `worker + workers`, and so on.

    Raises:
        DatasetInvalid: there can be no such batches.
    """

    images: Labelled
    preprocess: Preprocess
    size: int = 128
    seed: int = 1
    epoch: int = 0
    start: int = 0
    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if self.size < 1 or self.start < 0 or not 0 <= self.worker < self.workers:
            raise DatasetInvalid(
                f"batches of {self.size} images from number {self.start} on, for worker {self.worker} of "
                f"{self.workers}: a batch has an image at least, and batches and workers are counted from 0"
            )

    def __len__(self) -> int:
        return len(self._numbers())

    def __iter__(self) -> Iterator[Batch]:
        order = epoch_order(len(self.images.labels), self.seed, self.epoch)
        for number in self._numbers():
            rows = order[number * self.size : (number + 1) * self.size]
            yield to_tensor(self.images.pixels[rows], self.preprocess), self.images.labels[rows]

    def _numbers(self) -> range:
        count = -(-len(self.images.labels) // self.size)
        return range(self.start + self.worker, count, self.workers)
