"""A challenger in shadow: what it is asked, what becomes of its answers, and that nothing it does is felt elsewhere."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from images import Brightness, grey
from numpy.typing import NDArray
from structlog.testing import capture_logs

from flumen.interceptor import Batch, Context, ImageMessage, Limits, Preprocess, intercept
from flumen.interceptor.batch import joined
from flumen.interceptor.classify import Classify
from flumen.interceptor.decode import Decode
from flumen.stores.memory import MemoryAnswers, MemoryStore
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.shadow import Shadow

DEADLINE_S = 60
SIZES = Preprocess(width=28, height=28), Preprocess(width=14, height=14)


class Contrary(Brightness):
    """Answers as its like, but for white images."""

    version = 4

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        answers = super().probabilities(tensor)
        white = tensor.reshape(len(tensor), -1).mean(axis=1) > 0.95
        answers[white] = answers[white][:, ::-1]
        return answers


class Raising(Brightness):
    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        raise RuntimeError("no answer")


class Overconfident(Brightness):
    """Answers with logits for white images, as a network whose softmax was left out."""

    version = 5

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        answers = super().probabilities(tensor)
        answers[tensor.reshape(len(tensor), -1).mean(axis=1) > 0.95, 9] = 5.4
        return answers


class Slow(Brightness):
    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on = threading.Event(), threading.Event()

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        self.asked.set()
        assert self.go_on.wait(DEADLINE_S)
        return super().probabilities(tensor)


def classified(*ids: str, content: bytes = b"") -> Batch:
    """A batch as it leaves the interceptors, answered by the champion."""
    batch = Batch([ImageMessage(image_id, content or grey(100), 0) for image_id in ids])
    return intercept(batch, Context(Brightness(), 0), (Decode(), Classify())).oks


class Scene:
    """A shadow that runs, over a memory store."""

    def __init__(self, sample: float, challenger: Brightness | None) -> None:
        self.metrics = Metrics()
        self.store = MemoryStore()
        self.shadow = Shadow([MemoryAnswers(self.store)], Limits(), self.metrics, sample, clock=lambda: 5.0)
        self.shadow.challenge(challenger)
        self.thread = threading.Thread(target=self.shadow.run)
        self.thread.start()

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"flumen_shadow_{name}_total", labels) or 0.0

    def answered(self, model: Brightness) -> float:
        return self.count("images", model_name=model.name, model_version=str(model.version))


@pytest.fixture
def start() -> Iterator[Callable[..., Scene]]:
    started: list[Scene] = []

    def make(challenger: Brightness | None, sample: float = 1.0) -> Scene:
        started.append(Scene(sample, challenger))
        return started[-1]

    yield make
    for scene in started:
        scene.shadow.end()
        scene.thread.join(DEADLINE_S)
        assert not scene.thread.is_alive()


@pytest.mark.parametrize("preprocess", SIZES, ids=["same size", "another size"])
def test_answers_and_disagreement_are_kept(
    start: Callable[..., Scene], wait_until: Callable[..., Any], preprocess: Preprocess
) -> None:
    """A challenger of another size sees the image decoded at its own."""
    challenger = Contrary(preprocess)
    scene = start(challenger)
    scene.store.rows["dark"] = {}
    scene.shadow.offer(classified("dark", content=grey(20)), Brightness())
    wait_until(lambda: scene.answered(challenger) == 1, "an answer")
    scene.shadow.offer(classified("white", content=grey(255)), Brightness())
    wait_until(lambda: scene.answered(challenger) == 2, "another answer")
    answers = scene.store.answers
    assert answers.keys() == {("dark", "brightness", 4), ("white", "brightness", 4)}
    assert answers["dark", "brightness", 4]["prediction"] == 0
    assert answers["dark", "brightness", 4]["classified_at"] == 5_000_000
    assert answers["white", "brightness", 4]["disagreement"]
    assert scene.store.rows == {"dark": {"disagreement": False}}, "no row is made"
    assert scene.count("disagreements", model_name="brightness", model_version="4") == 1


def test_a_challenger_of_another_size_decodes_in_parts(
    start: Callable[..., Scene], wait_until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is made of small images counts, though the champion's pixels of them are there."""
    batch = classified("a", "b", "c")
    monkeypatch.setattr("flumen.interceptor.chain.PART_DECODED_BYTES", 28 * 28 * 3 * 2)
    challenger = Contrary(SIZES[1])
    scene = start(challenger)
    scene.shadow.offer(batch, Brightness())
    wait_until(lambda: scene.answered(challenger) == 3, "the answers")
    assert challenger.batches == [1, 1, 1]


def test_a_sample_is_the_same_everywhere(start: Callable[..., Scene], wait_until: Callable[..., Any]) -> None:
    ids = [f"image-{number}" for number in range(1000)]

    def asked_about(*batches: list[str]) -> set[str]:
        challenger = Contrary()
        scene = start(challenger, sample=0.2)
        for batch in batches:
            before = scene.answered(challenger)
            scene.shadow.offer(classified(*batch), Brightness())
            wait_until(lambda before=before: scene.answered(challenger) > before, "answers")
        return {image_id for image_id, _, _ in scene.store.answers}

    at_once = asked_about(ids)
    assert 150 < len(at_once) < 250
    assert asked_about(ids[:300], ids[300:]) == at_once


def test_without_a_challenger_or_a_sample_nothing_is_asked(start: Callable[..., Scene]) -> None:
    challenger = Contrary()
    for scene in (start(None), start(challenger, sample=0.0)):
        scene.shadow.offer(classified("a", "b"), Brightness())
        scene.shadow.end()
        scene.thread.join(DEADLINE_S)
        assert scene.store.answers == {}
    assert challenger.batches == []


def test_what_no_champion_has_answered_is_not_asked(start: Callable[..., Scene]) -> None:
    """A chain may decode and not classify."""
    challenger = Contrary()
    scene = start(challenger)
    for column in ("label", "pixels"):
        scene.shadow.offer(classified("a").without(column), Brightness())
    scene.shadow.end()
    scene.thread.join(DEADLINE_S)
    assert challenger.batches == []


def test_a_challenger_that_is_behind_is_asked_no_more(
    start: Callable[..., Scene], wait_until: Callable[..., Any]
) -> None:
    """`offer` returns although the challenger does not, and holds no more than one batch for it."""
    slow = Slow()
    scene = start(slow)
    scene.shadow.offer(classified("a"), Brightness())
    assert slow.asked.wait(DEADLINE_S)
    for _ in range(50):
        scene.shadow.offer(classified("b", "c"), Brightness())
    assert scene.count("dropped", reason="behind") == 49 * 2
    slow.go_on.set()
    wait_until(lambda: scene.answered(slow) == 3, "the answers")


def test_an_answer_of_a_challengers_that_is_no_distribution_is_not_stored_and_counted_and_told_once(
    start: Callable[..., Scene], wait_until: Callable[..., Any]
) -> None:
    challenger = Overconfident()
    scene = start(challenger)
    with capture_logs() as lines:
        for white in ("b", "c"):
            mixed = joined([classified("a"), classified(white, content=grey(255))])
            scene.shadow.offer(mixed, Brightness())
            wait_until(
                lambda white=white: scene.count("dropped", reason="BadAnswer") == "abc".index(white), white
            )
    assert scene.store.answers.keys() == {("a", "brightness", 5)}
    wait_until(lambda: scene.answered(challenger) == 2, "the answers that are some")
    (told,) = [line for line in lines if line["log_level"] == "warning"]
    assert told["reason"] == "BadAnswer"
    assert "brightness@5 answers with values that are not probabilities" in told["message"]


def test_a_challenger_that_fails_is_counted(
    start: Callable[..., Scene], wait_until: Callable[..., Any]
) -> None:
    scene = start(Raising())
    scene.shadow.offer(classified("a", "b"), Brightness())
    wait_until(lambda: scene.count("dropped", reason="RuntimeError") == 2, "two lost answers")
    good = Contrary()
    scene.shadow.challenge(good)
    scene.shadow.offer(classified("c"), Brightness())
    wait_until(lambda: scene.answered(good) == 1, "the next challenger's answer")
    assert scene.store.answers.keys() == {("c", "brightness", 4)}


def test_a_store_that_is_down_costs_answers_and_nothing_else(
    start: Callable[..., Scene], wait_until: Callable[..., Any]
) -> None:
    challenger = Contrary()
    scene = start(challenger)
    scene.store.available = False
    scene.shadow.offer(classified("a", "b"), Brightness())
    wait_until(lambda: scene.count("dropped", reason="StoreUnavailable") == 2, "two lost answers")
    scene.store.available = True
    scene.shadow.offer(classified("c"), Brightness())
    wait_until(lambda: scene.answered(challenger) == 1, "an answer")


def test_little_of_a_batch_stays_in_memory(start: Callable[..., Scene]) -> None:
    """While a sample waits, it keeps its own pixels and nothing else that is large."""
    slow = Slow()
    scene = start(slow)
    scene.shadow.offer(classified("a"), Brightness())
    assert slow.asked.wait(DEADLINE_S)
    batch = classified(*(f"image-{number}" for number in range(100)))
    large = [weakref.ref(batch.columns[name]) for name in ("pixels", "probabilities")]
    scene.shadow.offer(batch.take(range(10)), Brightness())
    del batch
    gc.collect()
    assert [array() for array in large] == [None] * 2
    slow.go_on.set()
