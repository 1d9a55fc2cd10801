"""Gradient descent for several networks of one shape at the same time. Importing this module imports torch.

The first weights, the shuffles and the rule are those of `flumen.models.trainers.descent`, whose every product becomes
a batched one here. What differs is the order in which numbers are added up, and so the rounding. Nothing passes from
one network to another: one whose weights left the range of numbers leaves those of the others as they would be.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import Dataset, Labelled
from flumen.models.trainers.descent import Layers, Rule

_STEPS_A_LOOK = 32
"""A GPU is given so many steps before it is waited for: only then is known how long they took."""

_WARM_UPS = 3


@dataclass(frozen=True, slots=True)
class DeviceImages:
    """The images on a device: tensors are float32, n x used inputs, labels int64, n. `validation`: both, or None.

    `used` (bool, inputs): those that are not zero in every image; nothing but the penalty moves the weights of others.
    """

    train: Any
    labels: Any
    validation: tuple[Any, Any] | None
    used: NDArray[np.bool_]


def device_images(dataset: Dataset, preprocess: Preprocess, device: Any) -> DeviceImages:
    """Bring the images to learn from and those to choose by onto a device."""
    parts = [part for part in (dataset.train, dataset.validation) if part is not None]
    vectors = [_vectors(part, preprocess) for part in parts]
    used = np.logical_or.reduce([one.any(axis=0) for one in vectors])
    train, *validation = [
        (
            torch.from_numpy(np.compress(used, tensor, axis=1)).to(device),
            torch.from_numpy(part.labels.astype(np.int64)).to(device),
        )
        for tensor, part in zip(vectors, parts, strict=True)
    ]
    return DeviceImages(*train, validation[0] if validation else None, used)


def _vectors(part: Labelled, preprocess: Preprocess) -> NDArray[np.float32]:
    return to_tensor(part.pixels, preprocess).reshape(len(part.pixels), -1)


class StackedDescent:
    """Networks of one shape that learn from the same images, each in an order of its own.

    On a GPU a step is captured as a CUDA graph: what it costs is its products, and not the launching of them.
    """

    def __init__(
        self, layers: Sequence[Layers], rules: Sequence[Rule], images: DeviceImages, batch_size: int
    ) -> None:
        """Begin at these layers, one for each rule, which stay as they are."""
        self._images = images
        self._device = images.train.device
        self._count = len(layers)
        self._batch_size = min(batch_size, len(images.labels))
        self._first = [one.weights[0] for one in layers]
        self._unused = [np.ones(self._count), np.zeros(self._count)]
        """What the weights of unused inputs are multiplied by by now, and its velocity; float64."""
        rates = np.array([rule.rate for rule in rules])
        momenta = np.array([rule.momentum for rule in rules])
        self._momenta, self._decays = momenta, rates * np.array([rule.l2 for rule in rules])
        betas = momenta * (1 - self._decays)
        self._rate, self._momentum, self._beta, self._ahead, self._pull = map(
            self._column, (rates, momenta, betas, 1 + momenta, -self._decays / betas)
        )
        self._weights = [self._room(one) for one in self._used_weights(layers[0])]
        self._biases = [self._room(one[np.newaxis]) for one in layers[0].biases]
        self._moving = [*self._weights, *self._biases]
        self._velocities = [torch.zeros_like(one) for one in self._moving]
        self._kept = [torch.zeros_like(one) for one in self._moving]
        self._kept_unused = np.ones(self._count)
        self._losses = torch.zeros(self._count, dtype=torch.float64, device=self._device)
        self._orders = torch.zeros((self._count, 0), dtype=torch.int64, device=self._device)
        self._at = 0
        self._graphs = self._captured() if self._device.type == "cuda" else {}
        self._load(layers)

    @property
    def is_between_epochs(self) -> bool:
        """Whether the last epoch is over, or the first has not begun."""
        return bool(self._at >= self._orders.shape[1])

    def begin_epoch(self, orders: NDArray[np.int64]) -> None:
        """Take the order of the images (int64, networks x images) in the next epoch."""
        self._orders = torch.from_numpy(orders).to(self._device)
        self._at = 0
        self._losses.zero_()

    def learn(self, until: float) -> bool:
        """Learn from batch after batch until the epoch is over, or that moment of `time.monotonic` has come.

        Return whether the epoch is over.
        """
        steps = 0
        while not self.is_between_epochs:
            rows = self._orders[:, self._at : self._at + self._batch_size]
            self._learn_from(rows)
            self._at += rows.shape[1]
            steps += 1
            if self._waits(steps) and time.monotonic() >= until:
                break
        self._decay_unused(steps)
        return self.is_between_epochs

    def losses(self) -> NDArray[np.float64]:
        """Return the mean loss of each network over the epoch: float64, networks."""
        return np.asarray(self._losses.cpu().numpy() / max(1, self._orders.shape[1]))

    def broken(self) -> NDArray[np.bool_]:
        """Say of each network whether a weight is no number any more: bool, networks."""
        finite = torch.ones(self._count, dtype=torch.bool, device=self._device)
        for one in self._moving:
            finite &= torch.isfinite(one).all(dim=2).all(dim=1)
        return np.asarray(~finite.cpu().numpy() | ~np.isfinite(self._unused[0].astype(np.float32)))

    def accuracies(self) -> NDArray[np.float64] | None:
        """Return the share of the images to choose by that each network gets right: float64, networks."""
        if self._images.validation is None:
            return None
        tensor, labels = self._images.validation
        right = torch.zeros(self._count, dtype=torch.int64, device=self._device)
        for start in range(0, len(labels), self._batch_size):
            rows = slice(start, start + self._batch_size)
            *_, sums = self._forward(tensor[rows].expand(self._count, -1, -1))
            right += (sums.argmax(dim=2) == labels[rows]).sum(dim=1)
        return np.asarray(right.cpu().numpy() / len(labels))

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        """Keep the networks that are chosen (bool, networks) as they are now."""
        mask = torch.from_numpy(chosen).to(self._device).view(-1, 1, 1)
        for one, kept in zip(self._moving, self._kept, strict=True):
            torch.where(mask, one, kept, out=kept)
        self._kept_unused = np.where(chosen, self._unused[0], self._kept_unused)

    def kept(self, position: int) -> Layers:
        """Return a network as it was kept last, of all inputs."""
        found = [one[position].cpu().numpy() for one in self._kept]
        weights, biases = found[: len(self._weights)], found[len(self._weights) :]
        first = self._first[position] * np.float32(self._kept_unused[position])
        first[self._images.used] = weights[0]
        return Layers([first, *weights[1:]], [one[0] for one in biases])

    def _column(self, values: NDArray[np.float64]) -> Any:
        """Return a number for each network, which multiplies matrices of each."""
        return torch.from_numpy(values.astype(np.float32)).to(self._device).view(-1, 1, 1)

    def _room(self, like: NDArray[np.float32]) -> Any:
        return torch.zeros((self._count, *like.shape), dtype=torch.float32, device=self._device)

    def _used_weights(self, layers: Layers) -> list[NDArray[np.float32]]:
        return [np.compress(self._images.used, layers.weights[0], axis=0), *layers.weights[1:]]

    def _load(self, layers: Sequence[Layers]) -> None:
        for position, one in enumerate(layers):
            values = [*self._used_weights(one), *(biases[np.newaxis] for biases in one.biases)]
            for room, value in zip(self._moving, values, strict=True):
                room[position].copy_(torch.from_numpy(value))
        for velocity in self._velocities:
            velocity.zero_()

    def _captured(self) -> dict[int, tuple[Any, Any]]:
        """Capture a step for each size of batch that there is; the rows that it reads go with it.

        The steps that are made for it leave the weights changed.
        """
        images = len(self._images.labels)
        pool = torch.cuda.graph_pool_handle()
        graphs = {}
        for size in {self._batch_size, images % self._batch_size} - {0}:
            rows = torch.zeros((self._count, size), dtype=torch.int64, device=self._device)
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(_WARM_UPS):
                    self._step(rows)
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool):
                self._step(rows)
            graphs[size] = (graph, rows)
        return graphs

    def _learn_from(self, rows: Any) -> None:
        if not self._graphs:
            self._step(rows)
            return
        graph, room = self._graphs[rows.shape[1]]
        room.copy_(rows)
        graph.replay()

    def _waits(self, steps: int) -> bool:
        """Say whether all steps are over, having waited for a GPU now and then."""
        if self._device.type != "cuda":
            return True
        if steps % _STEPS_A_LOOK:
            return False
        torch.cuda.synchronize(self._device)
        return True

    def _step(self, rows: Any) -> None:
        """Learn from the images in these rows: int64, networks x images."""
        chosen, shape = rows.reshape(-1), (*rows.shape, -1)
        inputs = self._images.train.index_select(0, chosen).view(shape)
        known = self._images.labels.index_select(0, chosen).view(shape)
        *values, sums = self._forward(inputs)
        sums -= sums.amax(dim=2, keepdim=True)
        right = sums.gather(2, known)
        errors = sums.exp_()
        total = errors.sum(dim=2, keepdim=True)
        errors /= total
        self._losses += (total.log() - right).sum(dim=(1, 2), dtype=torch.float64)
        errors.scatter_add_(2, known, torch.full_like(right, -1.0))
        for position in reversed(range(len(self._weights))):
            passed_on = errors
            if position:
                passed_on = torch.bmm(errors, self._weights[position].transpose(1, 2))
                passed_on *= values[position] > 0
            self._move(position, values[position], errors)
            errors = passed_on

    def _forward(self, inputs: Any) -> list[Any]:
        """Return the inputs, what each hidden layer answers, and the sums of the last one."""
        values = [inputs]
        for weights, biases in zip(self._weights, self._biases, strict=True):
            before = values[-1] if len(values) == 1 else values[-1].relu_()
            values.append(torch.baddbmm(biases, before, weights))
        return values

    def _move(self, position: int, inputs: Any, errors: Any) -> None:
        """Move the weights and biases of a layer, as `Descent` does."""
        weights, velocity = self._weights[position], self._velocities[position]
        scaled = errors * (self._rate / -errors.shape[1])
        weights.addcmul_(velocity, self._momentum, value=-1)
        velocity.addcmul_(weights, self._pull)
        velocity.mul_(self._beta).baddbmm_(inputs.transpose(1, 2), scaled)
        weights.addcmul_(velocity, self._ahead)

        biases, velocity = self._biases[position], self._velocities[len(self._weights) + position]
        biases.addcmul_(velocity, self._momentum, value=-1)
        velocity.mul_(self._momentum).add_(scaled.sum(dim=1, keepdim=True))
        biases.addcmul_(velocity, self._ahead)

    def _decay_unused(self, steps: int) -> None:
        factor, velocity = self._unused
        for _ in range(steps):
            decay = self._decays * factor
            velocity = self._momenta * velocity - decay
            factor = factor + self._momenta * velocity - decay
        self._unused = [factor, velocity]
