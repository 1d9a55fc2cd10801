"""Gradient descent for a network of dense layers, in place: what an epoch of the article's network consists of.

Held to scikit-learn's `MLPClassifier` by the tests, from which it takes how the first weights are drawn, how images are
shuffled, and Nesterov's rule: from the same seed both end at the same weights but for the rounding of float32. What it
saves is memory traffic: nothing large is allocated in a step, and momentum is no pass of its own over the weights but
the `beta` of the product that makes their gradient, `velocity = momentum * velocity - rate * inputs.T @ errors`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_ROWS_A_CALL = 1000


@dataclass(frozen=True, slots=True)
class Rule:
    """How weights follow their gradient.

    Each batch: `velocity = momentum * velocity - rate * gradient`, then `weights += momentum * velocity - rate *
    gradient`. Source of the form: Sutskever, Martens, Dahl and Hinton, On the importance of initialization and momentum
    in deep learning, ICML 2013, as scikit-learn and DL4J write it. `momentum` is above 0. The gradient is that of a
    batch's mean negative log likelihood and of `l2 / 2 * sum(weights ** 2)`; biases have no penalty.
    """

    rate: float
    momentum: float
    l2: float


@dataclass(frozen=True, slots=True)
class Examples:
    """What is learnt from.

    `tensor`: float32, n x inputs. `labels`: n positions. `shares`: float32, n, how much each image counts; None for 1
    each.
    """

    tensor: Floats
    labels: NDArray[np.uint8]
    shares: Floats | None = None


class Layers:
    """Dense layers with ReLU between them and a softmax at the end, float32.

    `weights`: of each layer, inputs x outputs. `biases`: of each layer, outputs.
    """

    def __init__(self, weights: Sequence[Floats], biases: Sequence[Floats]) -> None:
        self.weights = list(weights)
        self.biases = list(biases)

    @classmethod
    def drawn(cls, sizes: Sequence[int], random: np.random.RandomState) -> "Layers":
        """Draw weights and biases uniformly within +-sqrt(6 / (inputs + outputs)), as scikit-learn does.

        The variance is that of Xavier's initialisation, 2 / (inputs + outputs). Source: Glorot and Bengio,
        Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010, equations 12 and 16.
        """
        weights, biases = [], []
        for inputs, outputs in pairwise(sizes):
            bound = np.sqrt(6 / (inputs + outputs))
            weights.append(random.uniform(-bound, bound, (inputs, outputs)).astype(np.float32))
            biases.append(random.uniform(-bound, bound, outputs).astype(np.float32))
        return cls(weights, biases)

    def copy(self) -> "Layers":
        """Return layers that stay as these are now."""
        return Layers([one.copy() for one in self.weights], [one.copy() for one in self.biases])

    def probabilities(self, tensor: Floats) -> Floats:
        """Classify float32, n x inputs; return float32, n x labels."""
        parts = [self._answer(part) for part in _parts(tensor)]
        return np.concatenate(parts) if parts else np.empty((0, len(self.biases[-1])), np.float32)

    def _answer(self, values: Floats) -> Floats:
        *hidden, last = zip(self.weights, self.biases, strict=True)
        for weights, biases in hidden:
            values = np.maximum(values @ weights + biases, 0)
        sums = values @ last[0] + last[1]
        _softmax(sums)
        return sums


class Descent:
    """Layers that learn from images, with all the room that a step takes.

    Inputs that are zero in every image, such as the border of digits, are left out of the products: nothing but the
    penalty moves their weights, and each of them by the same factor, which is one number to keep.
    """

    def __init__(self, layers: Layers, rule: Rule, data: "Examples", batch_size: int) -> None:
        """Begin at these layers, which stay as they are; a batch has up to `batch_size` images."""
        from scipy.linalg import blas

        self._gemm: Any = blas.sgemm
        self._axpy: Any = blas.saxpy
        self._rule = rule
        self._first = layers.weights[0]
        self._used: NDArray[np.bool_] = np.asarray(data.tensor.any(axis=0))
        if not self._used.any():
            self._used[0] = True  # all images are black, and BLAS takes no product of nothing
        self._data = (
            data if self._used.all() else replace(data, tensor=np.compress(self._used, data.tensor, axis=1))
        )
        moving = layers.copy()
        moving.weights[0] = np.compress(self._used, self._first, axis=0)
        self._moving = moving
        self._velocities = [np.zeros_like(one) for one in moving.weights]
        self._bias_velocities = [np.zeros_like(one) for one in moving.biases]
        self._unused_factor, self._unused_velocity = 1.0, 0.0
        self._inputs = np.empty((batch_size, len(moving.weights[0])), np.float32)
        self._outputs = [np.empty((batch_size, len(one)), np.float32) for one in moving.biases]
        self._errors = [np.empty((batch_size, len(one)), np.float32) for one in moving.biases[:-1]]

    @property
    def layers(self) -> Layers:
        """The layers as they are now: a copy, of all inputs."""
        layers = self._moving.copy()
        layers.weights[0] = self._first * np.float32(self._unused_factor)
        layers.weights[0][self._used] = self._moving.weights[0]
        return layers

    def epoch(self, random: np.random.RandomState) -> float:
        """Learn from every image once, shuffled; return the mean loss.

        It ends early where that is no number any more.
        """
        count, size = len(self._data.labels), len(self._inputs)
        rows = np.arange(count)
        random.shuffle(rows)
        total = 0.0
        for start in range(0, count, size):
            total += self.step(rows[start : start + size])
            if not math.isfinite(total):
                break
        return total / count

    def step(self, rows: NDArray[np.intp]) -> float:
        """Learn from the images in these rows; return the sum of their losses, infinite or NaN where it diverged."""
        data = self._data
        inputs = np.take(data.tensor, rows, axis=0, out=self._inputs[: len(rows)], mode="clip")
        answers = self._forward(inputs)
        known, at = data.labels[rows], np.arange(len(rows))
        losses = _softmax_losses(answers, at, known)
        answers[at, known] -= 1  # the gradient of the loss: what was answered less what is right
        if data.shares is not None:
            answers *= data.shares[rows, np.newaxis]
            losses *= data.shares[rows]
        self._backward(inputs, answers)
        return float(losses.sum(dtype=np.float64))

    def _forward(self, inputs: Floats) -> Floats:
        values = inputs
        last = len(self._outputs) - 1
        for position, (weights, biases, room) in enumerate(
            zip(self._moving.weights, self._moving.biases, self._outputs, strict=True)
        ):
            values = np.matmul(values, weights, out=room[: len(inputs)])
            values += biases
            if position < last:
                np.maximum(values, 0, out=values)
        return values

    def _backward(self, inputs: Floats, errors: Floats) -> None:
        count = len(inputs)
        for position in reversed(range(len(self._outputs))):
            before = self._outputs[position - 1][:count] if position else inputs
            passed_on = errors
            if position:
                weights = self._moving.weights[position]
                passed_on = np.matmul(errors, weights.T, out=self._errors[position - 1][:count])
                np.multiply(passed_on, before > 0, out=passed_on)
            self._move(position, before, errors)
            errors = passed_on
        decay = self._rule.rate * self._rule.l2 * self._unused_factor
        self._unused_velocity = self._rule.momentum * self._unused_velocity - decay
        self._unused_factor += self._rule.momentum * self._unused_velocity - decay

    def _move(self, position: int, inputs: Floats, errors: Floats) -> None:
        """Move the weights and biases of a layer.

        With v and w of before this step and m the momentum, they become v' = m v - rate (gradient + l2 w) and
        w' = w - m v + (1 + m) v'. To have the penalty in the same product, v is made ready with w1 = w - m v at hand:
        m v - rate l2 w = m (1 - rate l2) v - rate l2 w1.
        """
        rule = self._rule
        velocity, weights = self._velocities[position], self._moving.weights[position]
        decay = rule.rate * rule.l2
        beta = rule.momentum * (1 - decay)
        self._axpy(velocity.ravel(), weights.ravel(), a=-rule.momentum)
        if decay:
            self._axpy(weights.ravel(), velocity.ravel(), a=-decay / beta)
        # BLAS counts rows within columns: it is given the transposed of everything, which copies nothing.
        share = rule.rate / len(inputs)
        self._gemm(-share, errors.T, inputs.T, beta=beta, c=velocity.T, trans_b=1, overwrite_c=1)
        self._axpy(velocity.ravel(), weights.ravel(), a=1 + rule.momentum)

        biases, bias_velocity = self._moving.biases[position], self._bias_velocities[position]
        biases -= rule.momentum * bias_velocity
        bias_velocity *= rule.momentum
        bias_velocity -= share * errors.sum(axis=0)
        biases += (1 + rule.momentum) * bias_velocity


def _parts(tensor: Floats) -> Iterator[Floats]:
    for start in range(0, len(tensor), _ROWS_A_CALL):
        yield tensor[start : start + _ROWS_A_CALL]


def _softmax(sums: Floats) -> None:
    sums -= sums.max(axis=1, keepdims=True)
    np.exp(sums, out=sums)
    sums /= sums.sum(axis=1, keepdims=True)


def _softmax_losses(sums: Floats, at: NDArray[np.intp], known: NDArray[np.uint8]) -> Floats:
    """Make sums of the last layer probabilities, in place; return each image's negative log likelihood."""
    sums -= sums.max(axis=1, keepdims=True)
    right = sums[at, known]
    np.exp(sums, out=sums)
    total = sums.sum(axis=1)
    sums /= total[:, np.newaxis]
    losses: Floats = np.log(total) - right
    return losses
