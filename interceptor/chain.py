"""The chain of interceptors: what one is, how they are found by name, and how a batch goes through them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol

from flumen.interceptor.batch import Batch, Intercepted, Reject, joined
from flumen.interceptor.classifier import Classifier, Preprocess
from flumen.interceptor.columns import Column, merge_columns
from flumen.interceptor.errors import UnknownInterceptor
from flumen.interceptor.framing import Size
from flumen.interceptor.pixels import VIEW_SIDE
from flumen.interceptor.small import small_size

if TYPE_CHECKING:
    from flumen.interceptor.decoding import Decoded

ENTRY_POINT_GROUP = "flumen.interceptors"
PART_BYTES = 4 * 1024 * 1024
PART_DECODED_BYTES = 32 * 1024 * 1024
_OF_ONE_PART = ("small", "views", "measured", "metadata", "tensor")
_KEPT_SAMPLE_BYTES = 2
_SAMPLE_BYTES = _KEPT_SAMPLE_BYTES + 4
"""At the model's size: uint8 in `pixels` and in `image_as_pgm`, which a whole batch keeps; float32 in `tensor`."""
_PROBABILITY_BYTES = 4
_RGB = 3
_LARGEST_VIEW = (VIEW_SIDE, VIEW_SIDE)
_NOT_VIEWED = (0, 0)
"""The size of an image that is decoded already: no view is made of it."""

DEFAULT_CHAIN = ("envelope", "decode", "statistics", "metadata", "classify")


@dataclass(frozen=True, slots=True)
class Limits:
    """What an image may be, and what decoding one may take.

    Sizes in bytes and in pixels (width x height). `max_decode_memory_bytes` and `max_decode_time_s` (seconds of
    processor time) hold the decoder in a process of its own; only what is foreseen of them holds without one.
    """

    max_image_bytes: int = 16 * 1024 * 1024
    max_image_pixels: int = 64_000_000
    formats: frozenset[str] = frozenset({"JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF"})
    max_image_frames: int = 10_000
    max_decode_memory_bytes: int = 640 * 1024 * 1024
    max_decode_time_s: float = 5.0


class Decoder(Protocol):
    """Decodes one image, here or elsewhere; `flumen.interceptor.decoding.decode_image` does it in this thread."""

    def __call__(self, content: bytes, limits: Limits, preprocess: Preprocess) -> "Decoded":
        """Return what is told by an image's bytes, and its pixels at the model's size.

        Raises:
            Unclassifiable: it is refused.
        """


@dataclass(frozen=True, slots=True)
class Context:
    """What holds for a whole batch: one classifier, one time (microseconds since the epoch), one set of limits.

    `decoder` is None where images are decoded in this thread, whatever that takes; small ones always are.
    `control_revision` is that of the control record the classifier answers for; 0 where there is none.
    """

    classifier: Classifier
    classified_at: int
    limits: Limits = field(default_factory=Limits)
    control_revision: int = 0
    decoder: Decoder | None = None


class Interceptor(Protocol):
    """One step: a batch in, the same images out, each either enriched or rejected.

    It never raises for what an image contains; an exception is a defect of the interceptor and stops the worker.
    """

    @property
    def columns(self) -> Sequence[Column]:
        """The columns it adds that are to be stored."""

    def intercept(self, batch: Batch, context: Context) -> Intercepted:
        """Return what goes on and what is rejected; together as many as came in."""


def load_chain(names: Sequence[str] = DEFAULT_CHAIN) -> tuple[Interceptor, ...]:
    """Find interceptors by name in the entry point group `flumen.interceptors`, and make one of each, in order.

    Raises:
        UnknownInterceptor: no installed package registers that name.
        ColumnConflict: two of them declare the same column.
    """
    known = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    for name in names:
        if name not in known:
            raise UnknownInterceptor(
                f"no interceptor is named {name!r}; installed are: {', '.join(sorted(known))}. "
                f"A package registers one under the entry point group {ENTRY_POINT_GROUP!r}"
            )
    chain = tuple(known[name].load()() for name in names)
    merge_columns(interceptor.columns for interceptor in chain)
    return chain


def intercept(
    batch: Batch,
    context: Context,
    chain: Sequence[Interceptor],
    small: Sequence[Size | None] | None = None,
) -> Intercepted:
    """Send a batch through the chain: n images in, `len(oks) + len(errs) == n` out.

    Images go in parts of some MiB, of the files' bytes and of what is made of them, so that this does not pile up: a
    photo's pixels take ten times what its file takes, those of one shade thousands of times. What only serves
    interceptors and is large ends with its part. `small`: as `flumen.interceptor.small.small_size` says of each image,
    or None of one that is to be decoded as if it were not small. Of a batch that has `pixels` none is decoded.
    """
    errs: list[Reject] = []
    parts = []
    is_decoded = "pixels" in batch.columns
    sizes: Sequence[Size | None] = [_NOT_VIEWED] * len(batch)
    if not is_decoded:
        sizes = small or [small_size(image.content) for image in batch.images]
    for rows in _parts(batch, sizes, context.classifier.preprocess):
        part = batch.take(rows)
        if not is_decoded:
            part = part.with_columns(small=list(sizes[rows.start : rows.stop]))
        parts.append(_through(chain, part, context, errs))
    return Intercepted(joined(parts), errs)


def _through(chain: Sequence[Interceptor], part: Batch, context: Context, errs: list[Reject]) -> Batch:
    """Return what is kept of a part. A call of its own, so that nothing of it is left while the next one is decoded."""
    for interceptor in chain:
        step = interceptor.intercept(part, context)
        part = step.oks
        errs.extend(step.errs)
    return part.without(*_OF_ONE_PART)


def kept_bytes(classifier: Classifier) -> int:
    """Return how many bytes beside an image's own are kept until its batch is stored, whatever the image's size.

    That is what this model sees of it and what it answers. What statistics see of it, and the model's input, end with
    their part of the batch (`intercept`).
    """
    preprocess = classifier.preprocess
    seen = preprocess.width * preprocess.height * preprocess.channels * _KEPT_SAMPLE_BYTES
    return seen + len(classifier.labels) * _PROBABILITY_BYTES


def _parts(batch: Batch, sizes: Sequence[Size | None], preprocess: Preprocess) -> Iterator[range]:
    """Yield the rows of each part; those of an empty batch once."""
    seen = preprocess.width * preprocess.height * preprocess.channels * _SAMPLE_BYTES
    start = size = decoded = 0
    for row, (image, small) in enumerate(zip(batch.images, sizes, strict=True)):
        width, height = small or _LARGEST_VIEW
        content, view = len(image.content), seen + width * height * _RGB
        if row > start and (size + content > PART_BYTES or decoded + view > PART_DECODED_BYTES):
            yield range(start, row)
            start, size, decoded = row, 0, 0
        size += content
        decoded += view
    yield range(start, len(batch))
