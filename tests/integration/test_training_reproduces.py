"""The command that made the shipped model makes one as good again, from the article's data."""

from pathlib import Path

import pytest

from flumen.models.datasets.dataset import read_dataset
from flumen.models.repository import Repository
from flumen.models.shipped import SHIPPED
from flumen.models.trainers.making import make_model
from flumen.models.trainers.network import NETWORK, Parameters

DATA = Path(__file__).parents[2] / "data" / "mnist"


def test_the_defaults_make_the_shipped_model_again(tmp_path):
    made = make_model("mnist", read_dataset(DATA), NETWORK, Parameters())

    shipped = Repository(SHIPPED).manifest("mnist", 1)
    assert shipped.scores is not None
    assert shipped.training is not None
    training = made.manifest.training
    assert training is not None
    assert shipped.training.parameters.items() <= training.parameters.items()
    assert training.data_sha256 == shipped.training.data_sha256
    assert training.seed == shipped.training.seed
    assert made.evaluation.accuracy >= 0.975
    # `network-scikit` made it, and gives the same weights again on the processor that it ran on. `network` has the same
    # first weights and shuffles, and rounds in another way, as another processor does.
    assert made.evaluation.accuracy == pytest.approx(shipped.scores.accuracy, abs=0.004)
    assert len(made.rounds) == Parameters().epochs
    assert Repository(tmp_path).register(made.content, made.manifest) == 1
