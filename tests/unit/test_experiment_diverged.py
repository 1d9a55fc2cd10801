"""A run whose weights left the range of numbers is a result, and says no more than what was measured."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flumen.models.datasets.dataset import Dataset, Labelled
from flumen.models.errors import Diverged
from flumen.models.experiments import computing
from flumen.models.experiments.data import choose_images
from flumen.models.experiments.exporting import measure
from flumen.models.experiments.grid import Data
from flumen.models.experiments.jobs import Job
from flumen.models.experiments.local import child
from flumen.models.experiments.run import Run
from flumen.models.trainers.trainer import Task, find_trainer

LOGISTIC = find_trainer("logistic")
CLASSES = 3


@pytest.fixture(scope="module")
def few() -> Dataset:
    """Return images that tell their label: each is bright in a row of its own."""
    random = np.random.default_rng(4)

    def drawn(count: int) -> Labelled:
        labels = (np.arange(count) % CLASSES).astype(np.uint8)
        pixels = random.integers(0, 20, (count, CLASSES, 4), dtype=np.uint8)
        pixels[np.arange(count), labels] += 200
        return Labelled(pixels, labels)

    return Dataset(drawn(90), drawn(30), validation=drawn(30))


@dataclass(frozen=True)
class Broken:
    """What answers with no numbers."""

    rounds: tuple[Any, ...] = ()

    def probabilities(self, tensor: Any) -> Any:
        return np.full((len(tensor), CLASSES), np.nan, np.float32)


@dataclass(frozen=True)
class Diverging:
    """A trainer that diverges after its second round; what that has left, `before` makes of it."""

    before: Callable[[Any], Any]
    parameters = LOGISTIC.parameters
    packages = ("numpy",)

    def train(self, task: Task, parameters: Any) -> Any:
        trained = LOGISTIC.train(task, replace(parameters, epochs=2))
        raise Diverged("the loss is nan", self.before(trained))


@pytest.mark.parametrize("left", ["a network", "a network of no answers", "nothing"])
def test_a_run_that_diverged_has_the_measures_of_what_was_left_if_that_answers(
    left: str, few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {"a network": lambda one: one, "a network of no answers": lambda _: Broken()}
    monkeypatch.setattr(computing, "find_trainer", lambda _: Diverging(before.get(left, lambda _: None)))
    images = choose_images(few, Data(), LOGISTIC)
    ours, theirs = Pipe()

    def serve() -> None:
        with contextlib.suppress(EOFError):
            child.serve(theirs)

    thread = threading.Thread(target=serve)
    thread.start()
    quick = {"rate": 0.1, "batch_size": 10}
    ours.send(Job("diverging", quick, 1, images.in_files(tmp_path), images.labels, images.preprocess))
    said = [ours.recv() for _ in range(4) if ours.poll(60)]
    ours.close()
    thread.join()
    result = said[-1]
    assert (result.state, result.error) == ("diverged", "the loss is nan")
    assert [one.number for one in result.curves] == [1, 2]
    has_measures = left == "a network"
    assert [bool(one) for one in (result.validation, result.test, result.confusion)] == [has_measures] * 3
    if has_measures:
        assert result.validation.accuracy == result.curves[-1].accuracy > 0.5
    run = Run(run_id="a", data_sha256="d", state="diverged", test=result.test, validation=result.validation)
    assert run.accuracy is None


def test_a_network_that_answers_with_no_numbers_has_diverged(
    few: Dataset,
) -> None:
    images = choose_images(few, Data(), LOGISTIC)
    task = Task(few.train, None, images.labels, images.preprocess, 1, lambda _: True)
    with pytest.raises(Diverged, match="the answers none"):
        measure(Broken(), few.test, task)  # type: ignore[arg-type]
