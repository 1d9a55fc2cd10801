"""When a micro-batch is full."""

from concurrent.futures import Future

from clocks import Clock
from images import Brightness

from flumen.interceptor import Preprocess
from flumen.interceptor.chain import kept_bytes
from flumen.streams.kafka.memory import MemoryConsumer, MemoryTopic
from flumen.streams.live.health import Pulse
from flumen.streams.live.intake import Intake, IntakeOptions, MicroBatch

MIB = 1024 * 1024


def filled(decoded_bytes: int) -> tuple[int, int]:
    """Return how many messages a batch has, and how many batches there is room for while none is stored."""
    topic = MemoryTopic("images", 1)
    for _ in range(5000):
        topic.publish(0, b"v", b"k")
    batches: list[MicroBatch] = []

    def hand_over(batch: MicroBatch) -> "Future[None]":
        batches.append(batch)
        taken: Future[None] = Future()
        taken.set_result(None)
        return taken

    options = IntakeOptions(
        max_batch_time_s=600,
        max_in_flight_bytes=64 * MIB,
        commit_every_s=0,
        decoded_bytes=lambda: decoded_bytes,
    )
    clock = Clock()
    consumer = MemoryConsumer(topic)
    intake = Intake(options, hand_over, Pulse(600, clock), clock=clock)
    intake.join(consumer)
    consumer.assign([("images", 0)])
    intake.leave(0)  # so that it does not wait for room
    for _ in range(10):
        intake.turn()
    return len(batches[0].messages), len(batches)


def test_small_files_at_a_large_models_size_fill_a_batch_by_what_they_become() -> None:
    """500 files of 153 bytes become 1.2 GB at 640 x 640 RGB, and four batches are in hand at once."""
    article = Brightness(Preprocess(28, 28))
    large = Brightness(Preprocess(640, 640, channels=3, layout="nchw"))
    assert kept_bytes(large) == 2 * 640 * 640 * 3 + 4 * 10
    assert filled(kept_bytes(article)) == (500, 10)
    images, batches = filled(kept_bytes(large))
    assert (images - 1) * kept_bytes(large) <= 16 * MIB < images * kept_bytes(large)
    assert batches <= 4


def test_the_answers_of_a_model_of_very_many_labels_count_as_well() -> None:
    """22,000 labels are 88 KB an image."""
    many = Brightness(Preprocess(28, 28))
    many.labels = [str(label) for label in range(22_000)]
    assert kept_bytes(many) == 2 * 28 * 28 + 4 * 22_000
    images, batches = filled(kept_bytes(many))
    assert 15 * MIB < images * kept_bytes(many) <= 16 * MIB
    assert batches <= 4
