"""The command that made the shipped model makes one as good again, from the article's data."""

from pathlib import Path

import pytest

from flumen.models.datasets.dataset import read_dataset
from flumen.models.repository import Repository
from flumen.models.shipped import SHIPPED
from flumen.models.trainers.making import make_model
from flumen.models.trainers.network import Epoch, Parameters

DATA = Path(__file__).parents[2] / "data" / "mnist"


def test_the_defaults_make_the_shipped_model_again(tmp_path):
    epochs: list[Epoch] = []
    content, manifest, evaluation = make_model("mnist", read_dataset(DATA), Parameters(), epochs.append)

    shipped = Repository(SHIPPED).manifest("mnist", 1)
    assert shipped.scores is not None
    assert shipped.training is not None
    assert manifest.training is not None
    assert manifest.training.parameters == shipped.training.parameters
    assert manifest.training.data_sha256 == shipped.training.data_sha256
    assert evaluation.accuracy >= 0.975
    # On the processor that made it the weights are the same to the last bit; another one rounds in another way.
    assert evaluation.accuracy == pytest.approx(shipped.scores.accuracy, abs=0.004)
    assert len(epochs) == Parameters().epochs
    assert Repository(tmp_path).register(content, manifest) == 1
