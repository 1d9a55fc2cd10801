"""Networks that learn in a stack, held to each of them learning alone."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flumen.interceptor.classifier import Preprocess
from flumen.models.datasets.dataset import Dataset, Labelled
from flumen.models.trainers.descent import Descent, Examples, Layers, Rule

INPUTS, CLASSES, IMAGES, EPOCHS = 12, 3, 50, 2
SEEDS = (1, 2, 1)

torch = pytest.importorskip("torch")


def images() -> Dataset:
    """Of which the first row is black everywhere: those inputs are left out of the products."""
    random = np.random.default_rng(7)
    pixels = random.integers(0, 255, (IMAGES + 20, 4, 3), dtype=np.uint8)
    pixels[:, 0] = 0
    labels = (np.arange(len(pixels)) % CLASSES).astype(np.uint8)
    train, other = (Labelled(pixels[rows], labels[rows]) for rows in (slice(IMAGES), slice(IMAGES, None)))
    return Dataset(train, other, validation=other)


def alone(
    tensor: Any, labels: Any, sizes: Any, rule: Rule, seed: int, batch_size: int
) -> tuple[Layers, float]:
    random = np.random.RandomState(seed)
    descent = Descent(Layers.drawn(sizes, random), rule, Examples(tensor, labels), batch_size)
    losses = [descent.epoch(random) for _ in range(EPOCHS)]
    return descent.layers, losses[-1]


@settings(max_examples=15)
@given(
    rates=st.tuples(*[st.floats(1e-4, 0.1)] * len(SEEDS)),
    l2=st.sampled_from([0.0, 0.05]),
    momentum=st.sampled_from([0.5, 0.98]),
    hidden=st.sampled_from([(), (5,), (7, 4)]),
    batch_size=st.sampled_from([1, 16, 50]),
)
def test_a_network_of_a_stack_ends_where_it_does_alone(
    rates: tuple[float, ...], l2: float, momentum: float, hidden: tuple[int, ...], batch_size: int
) -> None:
    from flumen.models.experiments.cuda.descent import StackedDescent, device_images

    dataset, preprocess = images(), Preprocess(3, 4, layout="flat")
    tensor = dataset.train.pixels.reshape(IMAGES, -1).astype(np.float32) / 255
    sizes = (INPUTS, *hidden, CLASSES)
    rules = [Rule(rate, momentum, l2) for rate in rates]
    randoms = {seed: np.random.RandomState(seed) for seed in SEEDS}
    drawn = {seed: Layers.drawn(sizes, random) for seed, random in randoms.items()}
    on_device = device_images(dataset, preprocess, torch.device("cpu"))
    assert on_device.used.sum() == INPUTS - 3
    stack = StackedDescent([drawn[seed] for seed in SEEDS], rules, on_device, batch_size)
    for _ in range(EPOCHS):
        orders = {seed: np.arange(IMAGES) for seed in SEEDS}
        for seed, random in randoms.items():
            random.shuffle(orders[seed])
        stack.begin_epoch(np.stack([orders[seed] for seed in SEEDS]))
        while not stack.learn(until=0.0):  # a step at a time
            pass
    stack.keep(np.array([True, True, False]))

    assert not stack.broken().any()
    for position, (seed, rule) in enumerate(zip(SEEDS, rules, strict=True)):
        expected, loss = alone(tensor, dataset.train.labels, sizes, rule, seed, batch_size)
        assert stack.losses()[position] == pytest.approx(loss, rel=1e-3, abs=1e-5)
        if position == 2:
            assert not stack.kept(position).biases[-1].any()  # of this one, nothing was kept
            continue
        found = stack.kept(position)
        for one, other in zip(
            (*found.weights, *found.biases), (*expected.weights, *expected.biases), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
        known = dataset.validation.labels if dataset.validation else None
        vectors = dataset.test.pixels.reshape(len(dataset.test.labels), -1).astype(np.float32) / 255
        right = float(np.mean(expected.probabilities(vectors).argmax(axis=1) == known))
        accuracies = stack.accuracies()
        assert accuracies is not None
        assert accuracies[position] == pytest.approx(right, abs=0.051)  # one image of 20
