"""From what is desired to what runs: loads that fail, hang, come too late or are not needed any more."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from desired_states import ref, state
from images import Brightness

from flumen.models.errors import ModelCorrupt, RepositoryUnavailable
from flumen.models.slot import CurrentSlot, Serving
from flumen.streams.control.records import ModelRef, Refused, WorkerState
from flumen.streams.control.worker.preparation import Listeners, Preparation
from flumen.streams.errors import RecordStale

DEADLINE_S = 60


class Model(Brightness):
    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = version


class Shelf:
    """Loads models; a test may hold back single ones, or have them fail."""

    def __init__(self) -> None:
        self.loads: list[int] = []
        self.held: dict[int, threading.Event] = {}
        self.failures: dict[int, list[Exception]] = {}

    def load(self, wanted: ModelRef) -> Model:
        self.loads.append(wanted.version)
        if wanted.version in self.held:
            assert self.held[wanted.version].wait(DEADLINE_S)
        if failures := self.failures.get(wanted.version):
            raise failures.pop(0)
        return Model(wanted.version)


class Desk:
    """A preparation that runs, and what it told."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.slot = CurrentSlot(Serving(Model(1), ref(1).sha256))
        self.told = threading.Condition()
        self.challengers: list[int | None] = []
        self.published: list[tuple[int, int, int]] = []
        self.announced: list[tuple[int, int]] = []
        listeners = Listeners(self._changed, self._published, self._challenged, self._publishing)
        self.preparation = Preparation(self.shelf.load, self.slot, listeners, retry_s=0.01)

    def wait_for(self, check: Callable[[], Any]) -> None:
        with self.told:
            assert self.told.wait_for(check, DEADLINE_S), self.preparation.picture()

    def wait_for_state(self, wanted: WorkerState) -> None:
        self.wait_for(lambda: self.preparation.picture().state is wanted)

    def serving(self) -> tuple[int, int]:
        return self.slot.current.classifier.version, self.slot.current.revision

    def _changed(self) -> None:
        with self.told:
            self.told.notify_all()

    def _published(self, new: Serving, old: Serving) -> None:
        self.published.append((old.classifier.version, new.classifier.version, new.revision))

    def _publishing(self, new: Serving, _old: Serving) -> None:
        self.announced.append((new.revision, self.slot.current.revision))

    def _challenged(self, challenger: Any) -> None:
        self.challengers.append(challenger and challenger.version)


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    thread = threading.Thread(target=desk.preparation.run)
    thread.start()
    yield desk
    for held in desk.shelf.held.values():
        held.set()
    desk.preparation.end()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def test_prepare_loads_and_publishes_nothing(desk: Desk) -> None:
    desk.preparation.want(state(1, champion=1, prepare=2))
    desk.wait_for_state(WorkerState.READY)
    picture = desk.preparation.picture()
    assert (picture.prepared, picture.champion, picture.revision) == (ref(2), ref(1), 1)
    assert desk.serving() == (1, 1)


def test_a_prepared_champion_serves_before_want_returns(desk: Desk) -> None:
    """Even while the thread is busy with another model."""
    desk.preparation.want(state(1, champion=1, prepare=2))
    desk.wait_for_state(WorkerState.READY)
    desk.shelf.held[3] = threading.Event()
    desk.preparation.want(state(2, champion=1, prepare=2, challenger=3))
    desk.wait_for(lambda: 3 in desk.shelf.loads)
    desk.preparation.want(state(3, champion=2))
    assert desk.serving() == (2, 3)
    assert desk.published[-1] == (1, 2, 3)


def test_what_is_counted_of_a_model_is_counted_before_anybody_sees_an_answer_of_it(desk: Desk) -> None:
    desk.preparation.want(state(1, champion=1))
    desk.preparation.want(state(2, champion=2))
    desk.wait_for(lambda: desk.serving() == (2, 2))
    assert desk.announced == [(1, 0), (2, 1)]


def test_a_champion_that_was_not_prepared_is_loaded_first(desk: Desk) -> None:
    desk.shelf.held[2] = threading.Event()
    desk.preparation.want(state(1, champion=2))
    desk.wait_for(lambda: 2 in desk.shelf.loads)
    assert desk.serving() == (1, 0)
    assert desk.preparation.picture().state is WorkerState.PREPARING
    desk.shelf.held[2].set()
    desk.wait_for_state(WorkerState.SERVING)
    assert desk.serving() == (2, 1)


def test_a_load_that_nobody_wants_any_more_changes_nothing(desk: Desk) -> None:
    desk.shelf.held[2] = threading.Event()
    desk.preparation.want(state(1, champion=2))
    desk.wait_for(lambda: 2 in desk.shelf.loads)
    desk.preparation.want(state(2, champion=1, prepare=3))
    desk.shelf.held[2].set()
    desk.wait_for_state(WorkerState.READY)
    assert desk.serving() == (1, 2)
    assert desk.preparation.picture().prepared == ref(3)


@pytest.mark.parametrize("error", [ModelCorrupt("damaged"), MemoryError(), ValueError("half a pair: \ud83d")])
def test_a_refused_model_leaves_the_old_one_and_is_not_tried_again(desk: Desk, error: Exception) -> None:
    desk.shelf.failures[2] = [error]
    desk.preparation.want(state(4, champion=2))
    desk.wait_for_state(WorkerState.REFUSED)
    picture = desk.preparation.picture()
    assert picture.refused is not None
    assert (picture.refused.reason, picture.refused.ref, picture.refused.revision) == (
        type(error).__name__,
        ref(2),
        4,
    )
    assert (picture.champion, desk.serving()) == (ref(1), (1, 0))
    desk.preparation.want(state(5, champion=1, prepare=3))
    desk.wait_for_state(WorkerState.READY)
    assert desk.shelf.loads == [2, 3]
    desk.preparation.want(state(6, champion=2))
    desk.wait_for(lambda: desk.serving() == (2, 6))


def test_a_storage_that_does_not_answer_is_asked_again(desk: Desk) -> None:
    desk.shelf.failures[2] = [RepositoryUnavailable("down"), RepositoryUnavailable("down")]
    desk.preparation.want(state(1, champion=2))
    desk.wait_for(lambda: desk.serving() == (2, 1))
    assert desk.shelf.loads == [2, 2, 2]
    assert desk.preparation.picture().refused is None


def test_a_refused_record_does_not_hide_a_refused_model(desk: Desk) -> None:
    desk.preparation.refuse_record(Refused.because(RecordStale("old")))
    assert desk.preparation.picture().state is WorkerState.SERVING
    desk.shelf.failures[2] = [ModelCorrupt("damaged")]
    desk.preparation.want(state(1, champion=1, prepare=2))
    desk.wait_for_state(WorkerState.REFUSED)
    desk.preparation.refuse_record(Refused.because(RecordStale("old")))
    refused = desk.preparation.picture().refused
    assert refused is not None
    assert refused.reason == "ModelCorrupt"


def test_what_is_to_be_prepared_is_told_though_the_champion_is_refused(desk: Desk) -> None:
    desk.shelf.failures[2] = [ModelCorrupt("damaged") for _ in range(3)]
    desk.shelf.failures[3] = [ModelCorrupt("damaged too")]
    desk.preparation.want(state(1, champion=2))
    desk.wait_for_state(WorkerState.REFUSED)
    desk.preparation.want(state(2, champion=2, prepare=3))
    desk.wait_for(lambda: desk.shelf.loads == [2, 2, 3])
    desk.wait_for(lambda: (refused := desk.preparation.picture().refused) and refused.ref == ref(3))
    picture = desk.preparation.picture()
    assert (picture.heard, picture.revision) == (2, 0)
    desk.preparation.want(state(3, champion=2, prepare=4))
    desk.wait_for(lambda: desk.preparation.picture().prepared == ref(4))
    refused = desk.preparation.picture().refused
    assert refused is not None
    assert (refused.ref, refused.revision) == (ref(2), 3)


def test_a_refused_model_leaves_nothing_in_memory(desk: Desk) -> None:
    """Its exception has met the file's bytes, and more: they go with it."""

    class Content:
        pass

    met = []

    def load(_wanted: ModelRef) -> Model:
        content = Content()
        met.append(weakref.ref(content))
        raise ModelCorrupt("damaged")

    preparation = Preparation(load, desk.slot, Listeners(desk._changed))
    thread = threading.Thread(target=preparation.run)
    thread.start()
    preparation.want(state(1, champion=2))
    desk.wait_for(lambda: preparation.picture().state is WorkerState.REFUSED)
    preparation.end()
    thread.join(DEADLINE_S)
    gc.collect()
    assert [content() for content in met] == [None]


def test_the_revision_that_made_the_champion_stays_with_it(desk: Desk) -> None:
    desk.preparation.want(state(1, champion=1, prepare=2))
    desk.wait_for_state(WorkerState.READY)
    desk.preparation.want(state(2, champion=2))
    desk.preparation.want(state(3, champion=2, challenger=3))
    serving = desk.slot.current
    assert (serving.classifier.version, serving.revision, serving.since) == (2, 3, 2)


def test_the_challenger_comes_and_goes(desk: Desk) -> None:
    desk.preparation.want(state(1, champion=1, challenger=2))
    desk.wait_for(lambda: desk.challengers[-1:] == [2])
    desk.wait_for(lambda: desk.preparation.picture().challenger == ref(2))
    desk.preparation.want(state(2, champion=2))
    assert desk.serving() == (2, 2), "a challenger that becomes champion is in memory already"
    assert desk.challengers[-1] is None


def test_what_is_not_needed_is_let_go(desk: Desk) -> None:
    former = weakref.ref(desk.slot.current.classifier)
    desk.preparation.want(state(1, champion=1, prepare=2, challenger=3))
    desk.wait_for_state(WorkerState.READY)
    desk.wait_for(lambda: 3 in desk.shelf.loads and desk.challengers[-1:] == [3])
    desk.preparation.want(state(2, champion=2))
    gc.collect()
    assert former() is None
