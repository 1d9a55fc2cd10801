"""The first interceptor: what a message says of itself, before anyone looks at its pixels."""

import re
from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from flumen.interceptor.batch import Batch, ImageMessage, Intercepted, partition
from flumen.interceptor.chain import Context, Limits
from flumen.interceptor.columns import Column, Kind
from flumen.interceptor.errors import BadEnvelope, EmptyImage, ImageTooLarge, Unclassifiable
from flumen.interceptor.reasons import about

MAX_ID_BYTES = 16_384
"""The most that Kudu takes as a key (https://kudu.apache.org/docs/known_issues.html, "Primary keys")."""

MAX_TEXT_BYTES = 4_096
"""The longest `source` and `name`: the longest path Linux knows (PATH_MAX)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_INT32 = range(-(2**31), 2**31)


class Envelope:
    """Stores what a message says of itself; rejects what no store could hold or no decoder should see."""

    columns = (
        Column(
            "id", Kind.STRING, "the image's id; a second message with it replaces the first", nullable=False
        ),
        Column("source", Kind.STRING, "who published it, empty if unknown"),
        Column("name", Kind.STRING, "its file name, empty if unknown"),
        Column("size_bytes", Kind.INT64, "how many bytes were published"),
        Column("sha256", Kind.STRING, "the SHA-256 of those bytes, in hexadecimal"),
        Column("knownlabel", Kind.INT32, "the class its publisher knows it to be of, if any"),
        Column("event_time", Kind.TIMESTAMP, "when its publisher says it came about, if it says so"),
        Column("ingested_at", Kind.TIMESTAMP, "when it arrived"),
        Column("kafka_partition", Kind.INT32, "the partition of the topic it came from"),
        Column("kafka_offset", Kind.INT64, "and its offset there"),
    )

    def intercept(self, batch: Batch, context: Context) -> Intercepted:
        """Add the columns; reject what is malformed, empty or too large."""
        errors: dict[int, Unclassifiable] = {}
        for row, image in enumerate(batch.images):
            error = _defect(image, context.limits)
            if error is not None:
                errors[row] = about(image, error)
        step = partition(batch, "envelope", errors)
        return Intercepted(_with_envelope(step.oks), step.errs)


def _with_envelope(batch: Batch) -> Batch:
    images = batch.images
    return batch.with_columns(
        id=[image.id for image in images],
        source=[image.source for image in images],
        name=[image.name for image in images],
        size_bytes=np.array([len(image.content) for image in images], dtype=np.int64),
        sha256=[sha256(image.content).hexdigest() for image in images],
        knownlabel=[image.known_label for image in images],
        event_time=[image.event_time for image in images],
        ingested_at=np.array([image.arrived_at for image in images], dtype=np.int64),
        kafka_partition=[image.partition for image in images],
        kafka_offset=[image.offset for image in images],
    )


def _defect(image: ImageMessage, limits: Limits) -> Unclassifiable | None:
    """Return why this message is rejected, or None."""
    if image.defect is not None:
        return BadEnvelope(image.defect)
    if not image.id:
        return BadEnvelope("its id is empty; give the message a key or a ce_id header")
    for what, text, limit in _texts(image):
        wrong = _text_defect(text, limit)
        if wrong:
            return BadEnvelope(f"its {what} {wrong}; publish it with another {what}")
    if image.known_label is not None and image.known_label not in _INT32:
        return BadEnvelope("its known label needs more than 32 bits; publish it with the number of a class")
    return _size_defect(len(image.content), limits)


def _size_defect(size: int, limits: Limits) -> Unclassifiable | None:
    if not size:
        return EmptyImage("the message has no bytes; publish the image's content")
    if size > limits.max_image_bytes:
        return ImageTooLarge(
            f"it has {size:,} bytes and max_image_bytes is {limits.max_image_bytes:,}; "
            "publish a smaller version or raise the limit"
        )
    return None


def _texts(image: ImageMessage) -> Sequence[tuple[str, str, int]]:
    return (
        ("id", image.id, MAX_ID_BYTES),
        ("source", image.source, MAX_TEXT_BYTES),
        ("name", image.name, MAX_TEXT_BYTES),
    )


def _text_defect(text: str, limit: int) -> str | None:
    """Return what keeps a store from holding this text, or None.

    A source or name that is too long is rejected, not cut: cut short it would be another name, and two
    sources could become one. NUL and lone surrogates are stored by some drivers and then break every read; a line
    break makes two rows of one in whatever shows it.
    """
    if text.isascii() and text.isprintable() and len(text) <= limit:
        return None  # nearly all are so, and a look at that is all they cost
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if size > limit:
        return f"has {size:,} bytes in UTF-8, more than the {limit:,} that the stores take"
    control = _CONTROL.search(text)
    return None if control is None else f"holds the control character U+{ord(control[0]):04X}"
