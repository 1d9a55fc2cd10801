"""Training by the name of a trainer, with some of its parameters: the call of a notebook."""

from collections.abc import Callable
from typing import Any

from flumen.models.datasets.dataset import Dataset
from flumen.models.trainers.making import Made, make_model
from flumen.models.trainers.parameters import with_values
from flumen.models.trainers.trainer import DEFAULT_SEED, Progress, find_trainer


def train_model(
    name: str,
    dataset: Dataset,
    trainer: str = "network",
    *,
    seed: int = DEFAULT_SEED,
    class_weights: tuple[float, ...] | None = None,
    report: Callable[[Progress], bool] = lambda _: True,
    **parameters: Any,
) -> Made:
    """Train a model by the trainer of a name; those of its parameters that are not given have their defaults.

    As `make_model`, and raises the same; beside that:

    Raises:
        UnknownTrainer: no trainer has that name.
        BadParameters: it has no such parameter, or a value is out of bounds.
    """
    found = find_trainer(trainer)
    values = with_values(found.parameters(), parameters)
    return make_model(name, dataset, found, values, seed=seed, class_weights=class_weights, report=report)
