"""What was corrected holds for what is delivered: looked up before and behind each batch, and mended."""

import asyncio
from collections.abc import Callable, Iterable, Sequence, Set

from delivery_sinks import Named, batch_of

from flumen.interceptor import Batch, Column, Kind
from flumen.stores import Failure, StoreUnavailable
from flumen.stores.corrections import Correction, CurrentCorrections
from flumen.stores.memory import MemoryCorrections, MemorySink, MemoryStore
from flumen.streams.live.delivery import Delivered, Delivery
from flumen.streams.live.health import Pulse
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.retry import Retry

COLUMNS = (
    Column("id", Kind.STRING, "the id", nullable=False),
    Column("prediction", Kind.INT32, "the class"),
    Column("knownlabel", Kind.INT32, "the known class"),
)


class Meanwhile(Named):
    """A store in memory, and what somebody does right after each of its writes."""

    def __init__(self, store: MemoryStore, does: Sequence[Callable[[], object]] = ()) -> None:
        super().__init__("memory", store)
        self._sink = MemorySink(store, COLUMNS)
        self.connect, self.remove, self.close = self._sink.connect, self._sink.remove, self._sink.close
        self._does = list(does)

    def write(self, batch: Batch) -> Sequence[Failure]:
        failures = super().write(batch)
        if self._does and len(batch):
            self._does.pop(0)()
        return failures


class Log(MemoryCorrections):
    """Corrections in memory, of which the first questions after the start are not answered."""

    unanswered = 0

    def read_from(self, sequence: int) -> Iterable[Correction]:
        if self.unanswered:
            self.unanswered -= 1
            raise StoreUnavailable("down")
        return super().read_from(sequence)


class Scene:
    def __init__(self) -> None:
        self.store, self.log = MemoryStore(), Log(MemoryStore())
        self.log.connect()
        self.metrics = Metrics()

    def say(self, kind: str, image_id: str, label: int | None = None) -> Callable[[], object]:
        return lambda: self.log.append([Correction(image_id, kind, "me", 1, knownlabel=label)])

    def deliver(
        self, *ids: str, does: Sequence[Callable[[], object]] = (), unanswered: int = 0, lost: bool = False
    ) -> Delivered:
        batch = batch_of(*ids, partition=0).with_columns(knownlabel=[1] * len(ids))

        async def run() -> Delivered:
            retry = Retry(self.metrics, Pulse(60), first_pause_s=0.001)
            sink = Meanwhile(self.store, does)
            delivery = Delivery([sink], self.metrics, retry, CurrentCorrections(self.log))
            await delivery.connect()
            self.log.unanswered = unanswered
            gone: set[int] = set()
            delivered = await delivery.write(batch, lambda: {0} if lost and self.store.rows else gone)
            await delivery.close()
            self.log.connect()
            return delivered

        return asyncio.run(run())

    @property
    def labels(self) -> dict[str, int | None]:
        return {image_id: row["knownlabel"] for image_id, row in self.store.rows.items()}


def test_a_deleted_image_is_kept_out_and_a_label_is_put_in() -> None:
    scene = Scene()
    for say in (scene.say("delete", "a"), scene.say("label", "b", 7), scene.say("label", "c")):
        say()
    delivered = scene.deliver("a", "b", "c", "d", "a")
    assert not delivered.refused
    assert delivered.deleted == {"a"}
    assert scene.labels == {"b": 7, "c": None, "d": 1}
    assert scene.metrics.registry.get_sample_value("flumen_deleted_images_total") == 2


def test_what_is_corrected_while_a_batch_is_stored_is_mended_behind_it() -> None:
    """The last of several corrections counts, whichever it is."""
    scene = Scene()
    delivered = scene.deliver("a", "b", "c", does=[scene.say("delete", "a"), scene.say("label", "c", 2)])
    assert delivered.deleted == {"a"}
    assert scene.labels == {"b": 1, "c": 1}, (
        "nothing was written behind the first look, so nobody did the second"
    )
    delivered = scene.deliver(
        "b",
        "c",
        does=[scene.say("label", "c", 5), scene.say("label", "c", 6), scene.say("delete", "c")],
    )
    assert delivered.deleted == {"c"}
    assert scene.labels == {"b": 1}
    delivered = scene.deliver("c", "b", does=[scene.say("restore", "c")])
    assert scene.labels == {"b": 1, "c": 1}, "what may come again while it is kept out is stored"
    assert not delivered.deleted


def test_a_deleted_image_is_taken_out_also_when_its_partition_is_anothers_by_now() -> None:
    scene = Scene()
    delivered = scene.deliver("a", does=[scene.say("delete", "a")], lost=True)
    assert delivered.deleted == {"a"}
    assert scene.labels == {}


def test_corrections_that_do_not_answer_are_waited_for() -> None:
    scene = Scene()
    scene.say("delete", "a")()
    delivered = scene.deliver("a", "b", unanswered=3)
    assert delivered.deleted == {"a"}
    assert scene.labels == {"b": 1}
    assert scene.metrics.registry.get_sample_value("flumen_retries_total", {"server": "memory"}) == 3


class Particular(Meanwhile):
    """Takes no image whose label is 1."""

    def write(self, batch: Batch) -> Sequence[Failure]:
        bad = [row for row, label in enumerate(batch.columns["knownlabel"]) if label == 1]
        super().write(batch.take([row for row in range(len(batch)) if row not in bad]))
        return [Failure(row, "not 1") for row in bad]


def test_an_image_that_is_stored_after_all_is_no_dead_letter() -> None:
    scene = Scene()
    scene.say("label", "b", 2)()
    batch = batch_of("a", "b", "c").with_columns(knownlabel=[1, 1, 1])

    async def run() -> Delivered:
        retry = Retry(scene.metrics, Pulse(60), first_pause_s=0.001)
        sink = Particular(scene.store, [scene.say("label", "a", 7)])
        delivery = Delivery([sink], scene.metrics, retry, CurrentCorrections(scene.log))
        await delivery.connect()
        delivered = await delivery.write(batch)
        await delivery.close()
        return delivered

    delivered = asyncio.run(run())
    assert scene.labels == {"a": 7, "b": 2}
    assert [reject.image.id for reject in delivered.refused] == ["c"]


def test_a_deleted_image_that_is_not_to_be_stored_this_time_is_taken_out_all_the_same() -> None:
    """A worker stored it, and ended before it looked; the next one has another model, which cannot decode it."""
    scene = Scene()
    scene.deliver("a", "b")
    scene.say("delete", "a")()

    async def run() -> Set[str]:
        retry = Retry(scene.metrics, Pulse(60), first_pause_s=0.001)
        delivery = Delivery([Meanwhile(scene.store)], scene.metrics, retry, CurrentCorrections(scene.log))
        await delivery.connect()
        out = await delivery.keep_out(batch_of("a", "b", "never seen").images)
        await delivery.close()
        return out

    assert asyncio.run(run()) == {"a"}
    assert set(scene.labels) == {"b"}
