"""When a micro-batch is full."""

from concurrent.futures import Future

from clocks import Clock
from images import Brightness

from flumen.interceptor import Preprocess
from flumen.interceptor.chain import kept_bytes
from flumen.streams.kafka.memory import MemoryConsumer, MemoryTopic
from flumen.streams.live.concurrency import LIVE
from flumen.streams.live.health import Pulse
from flumen.streams.live.intake import Intake, IntakeOptions, MicroBatch

MIB = 1024 * 1024


def filled(decoded_bytes: int, message_bytes: int = 1, in_flight_bytes: int = 64 * MIB) -> tuple[int, int]:
    """Return how many messages a batch has, and how many batches there is room for while none is stored."""
    batches = taken(1000, decoded_bytes, message_bytes, in_flight_bytes)
    return len(batches[0].messages), len(batches)


def taken(
    first: int, decoded_bytes: int = 0, message_bytes: int = 1, in_flight_bytes: int = 64 * MIB
) -> list[MicroBatch]:
    """Return the batches that are taken of 5,000 messages, in ten turns at most."""
    topic = MemoryTopic("images", 1)
    content = bytes(message_bytes)
    for _ in range(5000):
        topic.publish(0, content, b"k")
    batches: list[MicroBatch] = []

    def hand_over(batch: MicroBatch) -> "Future[None]":
        batches.append(batch)
        taken: Future[None] = Future()
        taken.set_result(None)
        return taken

    options = IntakeOptions(
        first_batch_size=first,
        max_batch_time_s=600,
        max_in_flight_bytes=in_flight_bytes,
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
    return batches


def test_small_files_at_a_large_models_size_fill_a_batch_by_what_they_become() -> None:
    """1,000 files of 153 bytes become 2.4 GB at 640 x 640 RGB, and five batches are in hand at once."""
    article = Brightness(Preprocess(28, 28))
    large = Brightness(Preprocess(640, 640, channels=3, layout="nchw"))
    assert kept_bytes(large) == 2 * 640 * 640 * 3 + 4 * 10
    assert filled(kept_bytes(article)) == (1000, 5)
    images, batches = filled(kept_bytes(large))
    share = 64 * MIB // LIVE.batches_in_hand
    assert (images - 1) * kept_bytes(large) <= share < images * kept_bytes(large)
    assert batches <= LIVE.batches_in_hand


def test_the_answers_of_a_model_of_very_many_labels_count_as_well() -> None:
    """22,000 labels are 88 KB an image."""
    many = Brightness(Preprocess(28, 28))
    many.labels = [str(label) for label in range(22_000)]
    assert kept_bytes(many) == 2 * 28 * 28 + 4 * 22_000
    images, batches = filled(kept_bytes(many))
    share = 64 * MIB // LIVE.batches_in_hand
    assert (images - 1) * kept_bytes(many) <= share < (images + 1) * kept_bytes(many)
    assert batches <= LIVE.batches_in_hand


def test_large_files_fill_a_batch_by_their_bytes_however_much_may_be_in_hand() -> None:
    """Else 800 photos of 65 KB were one batch, which takes seconds: so long a swap would wait."""
    images, batches = filled(0, message_bytes=65_000, in_flight_bytes=1024 * MIB)
    assert (images - 1) * 65_000 <= IntakeOptions().max_batch_bytes < images * 65_500
    assert batches == 10


def test_the_first_batches_are_smaller_so_that_the_first_image_is_stored_sooner() -> None:
    assert [len(batch.messages) for batch in taken(250)] == [250, 500, 1000, 1000, 1000, 1000, 250]
