"""Of an image that was deleted no challenger's answer is left, also where the corrections do not answer at first."""

from collections.abc import Iterable

from test_control_shadow import Brightness, classified

from flumen.interceptor import Batch, Limits
from flumen.stores import StoreUnavailable
from flumen.stores.corrections import Correction, CurrentCorrections
from flumen.stores.memory import MemoryAnswers, MemoryCorrections, MemoryStore
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.shadow import Shadow


class Log(MemoryCorrections):
    is_down = False

    def read_from(self, sequence: int) -> Iterable[Correction]:
        if self.is_down:
            raise StoreUnavailable("down")
        return super().read_from(sequence)


def test_answers_for_deleted_images_are_taken_out() -> None:
    store, metrics = MemoryStore(), Metrics()
    log = Log(store)
    current = CurrentCorrections(log)
    current.connect()
    log.append([Correction("gone", "delete", "me", 1), Correction("kept", "label", "me", 1, knownlabel=1)])
    shadow = Shadow([MemoryAnswers(store)], Limits(), metrics, 1.0, corrections=current)
    shadow.challenge(Brightness())
    log.is_down = True
    for ids in (("gone", "kept"), ("later",)):
        shadow.offer(classified(*ids), Brightness())
        shadow._answer(shadow._questions.get())
        log.is_down = False
    shadow._decoder.close()
    assert {image_id for image_id, _, _ in store.answers} == {"kept", "later"}


class Down(MemoryAnswers):
    """Does not take answers, and says afterwards that some of them may be there."""

    def write(self, batch: Batch) -> None:
        super().write(batch)
        raise StoreUnavailable("down")


def test_what_is_to_be_looked_up_again_does_not_grow_where_answers_are_never_taken() -> None:
    store = MemoryStore()
    log = Log(store)
    current = CurrentCorrections(log)
    current.connect()
    log.append([Correction("gone", "delete", "me", 1)])
    shadow = Shadow([Down(store)], Limits(), Metrics(), 1.0, corrections=current)
    shadow.challenge(Brightness())
    for number in range(20):
        shadow.offer(classified("gone", f"image {number}"), Brightness())
        shadow._answer(shadow._questions.get())
        assert "gone" not in {image_id for image_id, _, _ in store.answers}
    shadow._decoder.close()
    assert shadow._not_looked_up == {"gone", "image 19"}
