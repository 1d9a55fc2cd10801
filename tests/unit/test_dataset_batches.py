"""Batches of an epoch: every image once, from any position, and the same whoever shares the work."""

import sys
from itertools import zip_longest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flumen.interceptor import Preprocess
from flumen.interceptor.preprocess import to_tensor
from flumen.models import datasets
from flumen.models.datasets import Batches, Labelled
from flumen.models.errors import DatasetInvalid, ExtraMissing

PREPROCESS = Preprocess(3, 2, mean=(0.5,), std=(0.25,))


def images(count: int) -> Labelled:
    """Images of which each one's first pixel and label are its number."""
    pixels = np.random.default_rng(2).integers(0, 256, (count, 2, 3), np.uint8)
    pixels[:, 0, 0] = np.arange(count)
    return Labelled(pixels, np.arange(count, dtype=np.uint8))


@given(st.integers(1, 200), st.integers(1, 64), st.integers(0, 5))
def test_an_epoch_is_every_image_once_as_the_model_sees_it(count: int, size: int, epoch: int) -> None:
    given = images(count)
    batches = list(Batches(given, PREPROCESS, size, epoch=epoch))
    assert [len(labels) for _, labels in batches[:-1]] == [size] * (len(batches) - 1)
    assert len(batches) == len(Batches(given, PREPROCESS, size))
    labels = np.concatenate([labels for _, labels in batches])
    assert sorted(labels.tolist()) == list(range(count))
    tensor = np.concatenate([tensor for tensor, _ in batches])
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, to_tensor(given.pixels[labels], PREPROCESS))


@given(st.integers(1, 200), st.integers(1, 64), st.integers(0, 8), st.integers(1, 5))
def test_workers_in_turn_give_what_one_gives(count: int, size: int, start: int, workers: int) -> None:
    whole = [labels.tolist() for _, labels in Batches(images(count), PREPROCESS, size)]
    shares = [
        [
            labels.tolist()
            for _, labels in Batches(
                images(count), PREPROCESS, size, start=start, worker=worker, workers=workers
            )
        ]
        for worker in range(workers)
    ]
    in_turn = [each for turn in zip_longest(*shares) for each in turn if each is not None]
    assert in_turn == whole[start:]


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"start": -1}, {"worker": 2, "workers": 2}, {"worker": -1}, {"workers": 0}]
)
def test_batches_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    images = Labelled(np.zeros((3, 2, 2), np.uint8), np.zeros(3, np.uint8))
    with pytest.raises(DatasetInvalid, match="a batch has an image at least"):
        Batches(images, Preprocess(2, 2), **wrong)


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "flumen.models.datasets.torch_batches", raising=False)
    with pytest.raises(ExtraMissing, match=r"flumen-ingest\[torch\]"):
        import flumen.models.datasets.torch_batches  # noqa: F401


def test_every_public_name_is_there() -> None:
    for name in datasets.__all__:
        assert getattr(datasets, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        datasets.nothing  # noqa: B018


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_gives_the_same_with_any_number_of_workers(workers: int) -> None:
    torch_data = pytest.importorskip("torch.utils.data")
    from flumen.models.datasets.torch_batches import TorchBatches

    batches = Batches(images(100), PREPROCESS, 7)
    loader = torch_data.DataLoader(TorchBatches(batches), batch_size=None, num_workers=workers)
    found = list(loader)
    assert len(found) == len(batches)
    for (tensor, labels), (ours, our_labels) in zip(found, batches, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), ours)
        assert labels.tolist() == our_labels.tolist()
