"""What the article says of its results, as it stands there (decimal commas written as points)."""

from collections.abc import Mapping

ACCURACY: Mapping[tuple[float, int], float] = {
    (1e-5, 100): 0.8641,
    (1e-5, 200): 0.8553,
    (1e-5, 300): 0.8605,
    (1e-4, 100): 0.9343,
    (1e-4, 200): 0.9347,
    (1e-4, 300): 0.9351,
    (0.001, 100): 0.9769,
    (0.001, 200): 0.9754,
    (0.001, 300): 0.9767,
    (0.01, 100): 0.9845,
    (0.01, 200): 0.9833,
    (0.01, 300): 0.9837,
    (0.1, 100): 0.9479,
    (0.1, 200): 0.1028,
    (0.1, 300): 0.1135,
    (1.0, 100): 0.1135,
    (1.0, 200): 0.0892,
    (1.0, 300): 0.1135,
}
"""Its table of results: the accuracy by rate and seed, with 10 classes."""

LAST_BEFORE_CLIFF = 0.01
"""The highest rate of its table at which every seed learns."""

HEADLINE_ACCURACY = 0.9821
HEADLINE_S = 129.0
"""How good its model is, and how long training and validating it took."""

GRID_SETTINGS = 140
ROUNDS = 10
HOURS = 50.0
"""Its larger grid, how often it would be computed, and the hours of one computer that it reckons for that."""

CONFUSION: Mapping[int, Mapping[int, int]] = {
    0: {0: 968, 1: 1, 3: 1, 4: 1, 5: 4, 6: 1, 8: 3, 9: 1},
    1: {1: 1125, 2: 1, 3: 2, 6: 3, 7: 2, 8: 2},
    2: {0: 3, 1: 3, 2: 1009, 3: 3, 4: 2, 6: 1, 7: 8, 8: 3},
    3: {2: 3, 3: 990, 5: 6, 7: 1, 8: 9, 9: 1},
    4: {0: 1, 2: 3, 4: 953, 6: 6, 7: 3, 8: 1, 9: 15},
    5: {3: 9, 5: 873, 6: 3, 8: 7},
    6: {0: 3, 1: 2, 2: 2, 4: 3, 5: 5, 6: 941, 8: 2},
    7: {1: 3, 2: 4, 3: 3, 5: 1, 7: 1008, 8: 2, 9: 7},
    8: {2: 1, 3: 1, 4: 1, 5: 1, 7: 3, 8: 965, 9: 2},
    9: {0: 2, 1: 2, 3: 6, 4: 5, 5: 5, 6: 1, 7: 2, 8: 12, 9: 974},
}
"""Its confusion matrix, of a model that it does not name: by known label, the images by predicted label."""


def rates() -> list[float]:
    """Return the rates of the table, in order."""
    return sorted({rate for rate, _ in ACCURACY})


def seeds() -> list[int]:
    """Return the seeds of the table, in order."""
    return sorted({seed for _, seed in ACCURACY})


def mean(rate: float) -> float:
    """Return the mean accuracy of a rate over the seeds."""
    return sum(ACCURACY[rate, seed] for seed in seeds()) / len(seeds())
