"""Gradient descent in place, held to the definition of a gradient and to scikit-learn's network."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neural_network import MLPClassifier

from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import read_dataset
from flumen.models.trainers.descent import Descent, Examples, Layers, Rule
from flumen.models.trainers.network import NETWORK

DATA = Path(__file__).parents[2] / "data" / "mnist"
MOMENTUM = 0.98


@pytest.fixture(scope="module")
def digits() -> Examples:
    train = read_dataset(DATA).train
    pixels = train.pixels[:1000]
    return Examples(to_tensor(pixels, NETWORK.preprocess(pixels)), train.labels[:1000])


def mean_loss(layers: Layers, examples: Examples) -> float:
    """The definition, in float64 and by nothing of what is tested."""
    values = examples.tensor.astype(np.float64)
    for position, (weights, biases) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        values = values @ weights.astype(np.float64) + biases.astype(np.float64)
        if position < len(layers.weights) - 1:
            values = np.maximum(values, 0)
    likelihoods = values - np.log(np.exp(values).sum(axis=1, keepdims=True))
    shares = np.ones(len(values)) if examples.shares is None else examples.shares
    return float(-np.mean(shares * likelihoods[np.arange(len(values)), examples.labels]))


@pytest.mark.parametrize("weighed", [False, True])
def test_a_step_follows_the_gradient(weighed: bool) -> None:
    """By differences of the loss: the first step of this rule is (1 + momentum) * rate * gradient."""
    random = np.random.RandomState(5)
    tensor = random.normal(size=(20, 6)).astype(np.float32)
    shares = random.uniform(0.5, 2, 20).astype(np.float32) if weighed else None
    examples = Examples(tensor, random.randint(0, 3, 20).astype(np.uint8), shares)
    start = Layers.drawn((6, 5, 4, 3), random)
    descent = Descent(start, Rule(rate=1e-2, momentum=0.5, l2=0), examples, 20)
    descent.step(np.arange(20))
    moved = descent.layers
    for kind in ("weights", "biases"):
        for before, after in zip(getattr(start, kind), getattr(moved, kind), strict=True):
            found = (before.astype(np.float64) - after) / (1.5 * 1e-2)
            expected = np.zeros_like(found)
            for place in np.ndindex(before.shape):
                kept, losses = before[place], []
                for sign in (1, -1):
                    before[place] = kept + sign * np.float32(1e-3)
                    losses.append(mean_loss(start, examples))
                before[place] = kept
                expected[place] = (losses[0] - losses[1]) / 2e-3
            np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("batch_size", "hidden"), [(100, (50, 20)), (64, (30,)), (1000, ())])
def test_epochs_end_where_scikit_learns_do(
    digits: Examples, batch_size: int, hidden: tuple[int, ...]
) -> None:
    """The same first weights, shuffles, momentum and penalty; only the rounding differs."""
    rate, l2 = 0.01, 0.01
    count = 1000 // batch_size * batch_size  # scikit-learn's penalty is another one in a shorter last batch
    examples = Examples(digits.tensor[:count], digits.labels[:count])
    network = MLPClassifier(
        hidden,
        solver="sgd",
        learning_rate_init=rate,
        momentum=MOMENTUM,
        alpha=l2 * batch_size,
        batch_size=batch_size,
        random_state=np.random.RandomState(123),
    )
    random = np.random.RandomState(123)
    descent = Descent(
        Layers.drawn((784, *hidden, 10), random), Rule(rate, MOMENTUM, l2), examples, batch_size
    )
    for _ in range(3):
        network.partial_fit(examples.tensor, examples.labels, classes=np.arange(10))
        descent.epoch(random)
    layers = descent.layers
    for ours, theirs in zip(layers.weights, network.coefs_, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    for ours, theirs in zip(layers.biases, network.intercepts_, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    np.testing.assert_allclose(
        layers.probabilities(examples.tensor), network.predict_proba(examples.tensor), atol=1e-4
    )


def test_every_epoch_shuffles_anew(digits: Examples) -> None:
    """Were the generator sown anew, the second epoch would be another one."""
    ends = []
    for sown in (None, 123):
        random = np.random.RandomState(123)
        descent = Descent(Layers.drawn((784, 20, 10), random), Rule(0.01, MOMENTUM, 0), digits, 100)
        descent.epoch(random)
        descent.epoch(np.random.RandomState(sown) if sown else random)
        ends.append(descent.layers.weights[0])
    assert np.abs(ends[0] - ends[1]).max() > 1e-4


def test_inputs_that_are_always_zero_are_moved_by_the_penalty(digits: Examples) -> None:
    """As if they were in the products: one value above zero in the corner keeps them there."""
    kept = digits.tensor.copy()
    kept[0, ~kept.any(axis=0)] = 1e-30
    ends = []
    for tensor in (digits.tensor, kept):
        random = np.random.RandomState(1)
        descent = Descent(
            Layers.drawn((784, 20, 10), random), Rule(0.1, 0.9, 0.1), Examples(tensor, digits.labels), 100
        )
        start = descent.layers.weights[0]
        descent.epoch(random)
        ends.append(descent.layers.weights[0])
    unused = ~digits.tensor.any(axis=0)
    assert unused.sum() > 50
    np.testing.assert_allclose(ends[0][unused], ends[1][unused], rtol=1e-5)
    assert np.abs(ends[0] - start)[unused].max() > 1e-3


@settings(max_examples=25, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 9), max_size=3),
    counts=st.tuples(st.integers(1, 40), st.integers(1, 50)),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_same_seed_gives_the_same_bytes(hidden: list[int], counts: tuple[int, int], seed: int) -> None:
    count, batch_size = counts
    made = np.random.RandomState(seed)
    examples = Examples(
        made.normal(size=(count, 5)).astype(np.float32), made.randint(0, 3, count).astype(np.uint8)
    )
    ends = []
    for _ in range(2):
        random = np.random.RandomState(seed)
        descent = Descent(
            Layers.drawn((5, *hidden, 3), random), Rule(0.01, 0.9, 1e-3), examples, min(count, batch_size)
        )
        loss = descent.epoch(random)
        ends.append(b"".join(one.tobytes() for one in (*descent.layers.weights, *descent.layers.biases)))
    assert np.isfinite(loss)
    assert ends[0] == ends[1]


def test_a_loss_that_is_no_number_any_more_ends_the_epoch(digits: Examples) -> None:
    random = np.random.RandomState(1)
    descent = Descent(Layers.drawn((784, 20, 10), random), Rule(1e12, MOMENTUM, 0), digits, 100)
    with np.errstate(all="ignore"):
        assert not np.isfinite(descent.epoch(random))
