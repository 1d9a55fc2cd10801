"""An epoch of the article's network by the trainer `network`, against scikit-learn's on the same arrays.

Processor time of one thread, each in turn; the ratio is the figure that counts: 0.65 at most with batches of 64.
"""

import time
from pathlib import Path

import numpy as np

from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import read_dataset
from flumen.models.trainers.descent import Descent, Examples, Layers, Rule
from flumen.models.trainers.network import HIDDEN_LAYERS, MOMENTUM, NETWORK, Parameters

_DATA = Path(__file__).parents[1] / "data" / "mnist"
_IMAGES = 12_800
_REPEATS = 5
_BATCHES = (64, 128, 200)


def ratio(examples: Examples, batch_size: int) -> tuple[float, float]:
    """Return the milliseconds a batch of ours and of scikit-learn's, each the best of a few epochs."""
    import scipy.linalg.blas  # noqa: F401 - its threads are limited only once it is there
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    parameters = Parameters(batch_size=batch_size)
    random = np.random.RandomState(123)
    descent = Descent(
        Layers.drawn((examples.tensor.shape[1], *HIDDEN_LAYERS, 10), random),
        Rule(parameters.rate, MOMENTUM, parameters.l2),
        examples,
        batch_size,
    )
    network = MLPClassifier(
        HIDDEN_LAYERS,
        solver="sgd",
        learning_rate_init=parameters.rate,
        momentum=MOMENTUM,
        alpha=parameters.l2 * batch_size,
        batch_size=batch_size,
        random_state=np.random.RandomState(123),
    )
    ours, theirs = [], []
    with threadpool_limits(1, user_api="blas"):
        for _ in range(_REPEATS):
            started = time.thread_time()
            descent.epoch(random)
            ours.append(time.thread_time() - started)
            started = time.thread_time()
            network.partial_fit(examples.tensor, examples.labels, classes=np.arange(10))
            theirs.append(time.thread_time() - started)
    batches = len(examples.labels) / batch_size
    return min(ours) / batches * 1e3, min(theirs) / batches * 1e3


def ratios() -> list[tuple[int, float, float]]:
    """Return batch size, our milliseconds a batch and scikit-learn's, for each of the batch sizes."""
    train = read_dataset(_DATA).train
    pixels, labels = train.pixels[:_IMAGES], train.labels[:_IMAGES]
    examples = Examples(to_tensor(pixels, NETWORK.preprocess(pixels)), labels)
    return [(batch_size, *ratio(examples, batch_size)) for batch_size in _BATCHES]


def main() -> None:
    for batch_size, ours, theirs in ratios():
        print(
            f"batches of {batch_size}: {ours:.2f} ms a batch, scikit-learn {theirs:.2f} ms, ratio {ours / theirs:.2f}"
        )


if __name__ == "__main__":
    main()
