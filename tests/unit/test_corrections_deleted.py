"""Deleting images: nothing is left of their labels, and the log is not read again for each step."""

from collections.abc import Sequence, Set

from flumen.replay.corrections import Corrector, corrector
from flumen.stores.corrections import Correction
from flumen.stores.memory import MemoryCorrections, MemoryStore


class ReadLog(MemoryCorrections):
    """Counts what it reads, and labels an image for somebody else before the first deletion is appended."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.scans = 0
        self.meanwhile: list[Correction] = []

    def append(self, corrections: Sequence[Correction]) -> Sequence[Correction]:
        others, self.meanwhile = self.meanwhile, []
        if others:
            super().append(others)
        return super().append(corrections)

    def of_images(self, ids: Set[str]) -> Sequence[Correction]:
        self.scans += 1
        return super().of_images(ids)


def label(image_id: str) -> Correction:
    return Correction(image_id, "label", "somebody", 1, "secret", 7, done_at=2)


def kinds(store: MemoryStore, image_id: str) -> list[str]:
    return [each.kind for each in store.corrections if each.id == image_id]


def test_labels_of_deleted_images_go_and_the_log_is_searched_once() -> None:
    store = MemoryStore()
    log = ReadLog(store)
    ids = [f"{number}" for number in range(3 * corrector.AT_ONCE)]
    with Corrector(log, [], [], "me", lambda: 1.0) as corrections:
        corrections.label(dict.fromkeys(ids[::2], 3))
        corrections.label(dict.fromkeys(ids[::4], 4))
        log.meanwhile = [label(ids[1]), label(ids[-1]), label("stays")]
        assert corrections.delete(ids) == len(ids)
        assert log.scans == 1
    assert kinds(store, ids[0]) == ["erased", "erased", "delete"]
    assert kinds(store, ids[1]) == kinds(store, ids[-1]) == kinds(store, ids[2]) == ["erased", "delete"]
    assert kinds(store, "stays") == ["label"]
    erased = [each for each in store.corrections if each.kind == "erased"]
    assert len(erased) == len(ids) // 2 + len(ids) // 4 + 2
    assert {(each.knownlabel, each.actor, each.reason) for each in erased} == {(None, "", "")}


def test_what_is_finished_later_leaves_the_labels_of_an_image_that_came_again() -> None:
    store = MemoryStore()
    log = ReadLog(store)
    log.connect()
    log.append([label("a"), Correction("a", "delete", "killed", 2)])
    log.append([Correction("a", "restore", "me", 3, done_at=3), label("a")])
    with Corrector(log, [], [], "me", lambda: 1.0) as corrections:
        assert corrections.finish() == 1
    assert kinds(store, "a") == ["erased", "delete", "restore", "label"]
    assert all(each.done_at for each in store.corrections if each.kind != "erased")
