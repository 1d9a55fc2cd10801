import threading
import weakref
from dataclasses import replace

from model_files import small_model

from flumen.models.runtime import OnnxClassifier
from flumen.models.slot import CurrentSlot, Serving

CONTENT, MANIFEST = small_model()


def version(number: int) -> Serving:
    return Serving(OnnxClassifier(CONTENT, replace(MANIFEST, version=number)), MANIFEST.sha256, number)


def test_what_was_published_last_is_current():
    first, second = version(1), version(2)
    slot = CurrentSlot(first)
    assert slot.current is first
    slot.publish(second)
    assert slot.current is second


def test_readers_see_each_model_with_its_own_revision_and_never_go_back():
    published = [version(number) for number in range(1, 21)]
    slot = CurrentSlot(published[0])
    started, done = threading.Barrier(5), threading.Event()
    seen: dict[int, list[Serving]] = {}

    def read(reader: int) -> None:
        seen[reader] = [slot.current]
        started.wait()
        while not done.is_set():
            current = slot.current
            if current is not seen[reader][-1]:
                seen[reader].append(current)
        seen[reader].append(slot.current)

    threads = [threading.Thread(target=read, args=(reader,)) for reader in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    for serving in published:
        slot.publish(serving)
    done.set()
    for thread in threads:
        thread.join()

    assert len(seen) == 4
    for reader in seen.values():
        versions = [serving.classifier.version for serving in reader]
        assert versions == sorted(versions)
        assert versions == [serving.revision for serving in reader]
        assert reader[-1] is published[-1]


def test_the_old_model_goes_with_its_last_batch():
    slot = CurrentSlot(version(1))
    batch = slot.current
    gone = weakref.ref(batch.classifier)
    slot.publish(version(2))
    assert gone() is batch.classifier
    del batch
    assert gone() is None
