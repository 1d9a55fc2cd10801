"""The commands that made the shipped models of digits make ones as good again, from the article's data."""

from dataclasses import replace
from pathlib import Path

import pytest

from flumen.models.datasets.dataset import read_dataset, with_validation
from flumen.models.repository import Repository
from flumen.models.shipped import SHIPPED
from flumen.models.trainers.making import make_model
from flumen.models.trainers.network import NETWORK, Parameters
from flumen.models.trainers.parameters import plain_values, with_values
from flumen.models.trainers.tensors import flat_preprocess, valued_preprocess

DATA = Path(__file__).parents[2] / "data" / "mnist"
NUMBERS = ("rate", "epochs", "batch_size")


def test_the_champion_is_made_again(tmp_path: Path) -> None:
    shipped = Repository(SHIPPED).manifest("mnist", 2)
    assert shipped.scores is not None
    assert shipped.training is not None
    given = shipped.training.parameters
    dataset = with_validation(read_dataset(DATA), 0.1)
    grey = replace(dataset, preprocess=valued_preprocess(dataset.train.pixels))
    parameters = with_values(Parameters(), {name: given[name] for name in (*NUMBERS, "l2")})
    # What comes behind the best epoch changes nothing: the model is what that one left.
    made = make_model(
        "mnist",
        grey,
        NETWORK,
        parameters,
        seed=shipped.training.seed,
        report=lambda progress: progress.number < int(given["best_epoch"]),
    )

    training = made.manifest.training
    assert training is not None
    assert given.items() <= training.parameters.items()
    assert training.data_sha256 == shipped.training.data_sha256
    assert made.manifest.input == shipped.input
    assert made.evaluation.accuracy >= 0.98
    # The same file on the processor that it was made on; others round in another way, and that leads to other weights.
    assert made.evaluation.accuracy == pytest.approx(shipped.scores.accuracy, abs=0.004)
    assert len(made.rounds) == given["best_epoch"]
    assert Repository(tmp_path).register(made.content, made.manifest) == 1


def test_the_binarised_one_has_the_defaults_of_the_network() -> None:
    shipped, pixels = Repository(SHIPPED).manifest("mnist", 1), read_dataset(DATA).train.pixels
    assert shipped.training is not None
    usual = plain_values(Parameters())
    assert {name: shipped.training.parameters[name] for name in NUMBERS} == {
        name: usual[name] for name in NUMBERS
    }
    assert shipped.input.preprocess == flat_preprocess(pixels) == NETWORK.preprocess(pixels)
