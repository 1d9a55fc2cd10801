"""The trainers of the extra `torch`: any images, the same again, exported as they answer, and what is refused."""

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.dataset import Dataset, Labelled, with_validation
from flumen.models.errors import BadParameters, Diverged, ExtraMissing, TrainingFailed
from flumen.models.repository import Repository
from flumen.models.runtime import OnnxClassifier
from flumen.models.trainers.making import make_model
from flumen.models.trainers.trainer import Progress, Task, find_trainer

SMALL: dict[str, Any] = {"epochs": 6, "batch_size": 20, "channels": (8, 8), "rate": 0.02}


def drawn(count: int, classes: int, colours: int, seed: int) -> Labelled:
    """Images that tell their label by how far to the left they are bright."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % classes).astype(np.uint8)
    pixels = random.integers(0, 40, (count, 6, 5, colours), dtype=np.uint8)
    for label in range(classes):
        pixels[labels == label, :, : label + 1] += 100
    return Labelled(pixels[..., 0] if colours == 1 else pixels, labels)


def dataset(classes: int = 4, colours: int = 1) -> Dataset:
    return Dataset(drawn(201, classes, colours, 0), drawn(80, classes, colours, 1))


def made(images: Dataset, name: str = "convnet", more: Any = None, **options: Any) -> Any:
    trainer = find_trainer(name)
    return make_model(
        "few", images, trainer, trainer.parameters(**(SMALL if more is None else more)), **options
    )


@pytest.mark.parametrize("name", ["convnet", "finetune"])
def test_without_torch_the_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for module in ("torch_modules", "torch_training"):
        monkeypatch.delitem(sys.modules, f"flumen.models.trainers.{module}", raising=False)
    with pytest.raises(ExtraMissing, match=r"pip install 'flumen-ingest\[torch\]'"):
        made(dataset(), name, {})


@pytest.mark.parametrize(
    ("classes", "colours", "preprocess"),
    [
        (4, 1, None),
        (3, 3, Preprocess(5, 6, channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))),
    ],
    ids=["grey", "colour-flat"],
)
def test_it_learns_any_images_and_its_export_answers_alike(
    classes: int, colours: int, preprocess: Preprocess | None, tmp_path: Any
) -> None:
    torch = pytest.importorskip("torch")
    images = replace(dataset(classes, colours), preprocess=preprocess)
    torch.manual_seed(1)
    threads, drawn_next = torch.get_num_threads(), torch.rand(1)
    torch.manual_seed(1)
    first = made(images)
    assert torch.get_num_threads() == threads
    assert torch.rand(1) == drawn_next, "chance of the caller's own is left alone"
    assert first.evaluation.accuracy > 0.9
    assert first.manifest.training.parameters["channels"] == "8-8"
    assert "torch" in first.manifest.training.software
    assert b"pkg.torch" not in first.content
    assert Repository(tmp_path).register(first.content, first.manifest) == 1
    if colours == 1:
        assert made(images).content == first.content


def test_where_it_is_told_to_stop_the_best_round_is_the_model() -> None:
    pytest.importorskip("torch")
    seen: list[Progress] = []

    def stop_at_three(progress: Progress) -> bool:
        seen.append(progress)
        return progress.number < 3

    images = with_validation(dataset(), 0.3)
    assert images.validation is not None
    stopped = made(images, more={**SMALL, "rate": 0.1}, report=stop_at_three)
    assert [one.number for one in stopped.rounds] == [1, 2, 3]
    assert stopped.rounds == tuple(seen)
    best = stopped.manifest.training.parameters["best_epoch"]
    assert seen[best - 1].accuracy == max(one.accuracy or 0 for one in seen)
    # The model is that round, not the last: it is right as often on what it was chosen by.
    answers = OnnxClassifier(stopped.content, stopped.manifest).probabilities(
        to_tensor(images.validation.pixels, stopped.manifest.input.preprocess)
    )
    assert np.mean(answers.argmax(axis=1) == images.validation.labels) == seen[best - 1].accuracy


def test_class_weights_turn_answers_to_what_weighs_more() -> None:
    pytest.importorskip("torch")
    random = np.random.default_rng(3)
    pixels = random.integers(0, 256, (300, 6, 5), dtype=np.uint8)  # nothing to learn from
    labels = (np.arange(300) % 2).astype(np.uint8)
    images = Dataset(Labelled(pixels[:200], labels[:200]), Labelled(pixels[200:], labels[200:]))
    trainer = find_trainer("convnet")
    parameters, tensor = (
        trainer.parameters(**SMALL),
        to_tensor(images.test.pixels, trainer.preprocess(pixels)),
    )
    shares = []
    for weights in ((9.0, 1.0), (1.0, 9.0)):
        task = Task(images.train, None, ("a", "b"), trainer.preprocess(pixels), 1, lambda _: True, weights)
        answers = trainer.train(task, parameters).probabilities(tensor)
        shares.append(float((answers.argmax(axis=1) == 1).mean()))
    assert shares[0] + 0.3 < shares[1]


def test_a_rate_that_is_too_high_is_told() -> None:
    pytest.importorskip("torch")
    images = dataset()
    trainer = find_trainer("convnet")
    parameters = trainer.parameters(**{**SMALL, "channels": (), "rate": 1.0, "epochs": 50, "decay": 50.0})
    seen: list[Progress] = []
    task = Task(
        images.train,
        None,
        tuple("abcd"),
        trainer.preprocess(images.train.pixels),
        1,
        lambda one: not seen.append(one),
    )
    with pytest.raises(Diverged, match="Choose a rate below") as raised:
        trainer.train(task, parameters)
    before: Any = raised.value.before
    assert before.rounds == tuple(seen) != ()
    assert before.facts["best_epoch"] == len(seen)


def one_layer(channels: int, height: int, width: int, classes: int) -> Any:
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, classes))


def too_many_classes(channels: int, height: int, width: int, classes: int) -> Any:
    return one_layer(channels, height, width, classes + 1)


def other_size(channels: int, height: int, width: int, classes: int) -> Any:
    return one_layer(channels, height + 1, width, classes)


def frozen(channels: int, height: int, width: int, classes: int) -> Any:
    return one_layer(channels, height, width, classes).requires_grad_(False)


def branching(channels: int, height: int, width: int, classes: int) -> Any:
    from torch import nn

    class Branching(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = one_layer(channels, height, width, classes)

        def forward(self, images: Any) -> Any:
            return self.layer(images) if images.sum() > 0 else self.layer(images * 2)

    return Branching()


def raising(*size: int) -> Any:
    raise KeyError("width")


def too_few(channels: int) -> Any:
    return one_layer(channels, 1, 1, 2)


def no_module(*size: int) -> str:
    return "nothing"


NOT_CALLED = 1
HERE = __name__.rpartition(".")[2]


def test_any_module_is_trained_further_and_exported_as_it_answers() -> None:
    pytest.importorskip("torch")
    result = made(dataset(), "finetune", {"module": f"{HERE}:one_layer", "epochs": 8, "rate": 0.02})
    assert result.evaluation.accuracy > 0.9
    assert result.manifest.training.parameters["module"] == f"{HERE}:one_layer"
    assert result.manifest.training.parameters["weights"] == 30 * 4 + 4


@pytest.mark.parametrize(
    ("module", "refusal", "reason"),
    [
        ("", BadParameters, "--set module=my_modules:make"),
        ("one_layer", BadParameters, "--set module=my_modules:make"),
        ("no_such_place:make", BadParameters, "PYTHONPATH"),
        (f"{HERE}:no_such_function", BadParameters, "no_such_function"),
        (f"{HERE}:NOT_CALLED", BadParameters, "cannot be called"),
        (f"{HERE}:raising", BadParameters, r"raising\(1, 6, 5, 4\) raised KeyError: 'width'"),
        (f"{HERE}:too_few", BadParameters, "is given channels, height, width and the number of classes"),
        (f"{HERE}:no_module", BadParameters, r"returns str; it has to return a torch.nn.Module"),
        (f"{HERE}:too_many_classes", TrainingFailed, r"answer with \(2, 4\)"),
        (f"{HERE}:other_size", TrainingFailed, "does not take images of 2x1x6x5"),
        (f"{HERE}:frozen", TrainingFailed, "no weights that may be trained"),
        (f"{HERE}:branching", TrainingFailed, "torch cannot export the module"),
    ],
)
def test_what_is_no_module_for_these_images_is_refused(module: str, refusal: Any, reason: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises(refusal, match=reason):
        made(dataset(), "finetune", {"module": module})
