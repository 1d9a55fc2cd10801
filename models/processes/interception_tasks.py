"""What a process that intercepts is asked to do (`flumen.models.processes.interception_process`), and what it says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import attrgetter
from typing import Protocol

from flumen.interceptor import errors
from flumen.interceptor.batch import Batch, ColumnValues, ImageMessage, Intercepted, Reject
from flumen.interceptor.chain import Context, Interceptor, Limits, intercept
from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.classify import Classify
from flumen.interceptor.decode import Decode
from flumen.interceptor.decoding import Decoded
from flumen.interceptor.envelope import Envelope
from flumen.interceptor.errors import InterceptorError, Unclassifiable
from flumen.interceptor.metadata.step import Metadata
from flumen.interceptor.statistics.step import Statistics
from flumen.interceptor.timed import Timed
from flumen.models.unloaded import Unloaded

READY = "ready"

_OURS: Mapping[str, Callable[[], Interceptor]] = {
    "envelope": Envelope,
    "decode": Decode,
    "statistics": Statistics,
    "metadata": Metadata,
}
_OF_A_MESSAGE = attrgetter(
    "id", "arrived_at", "source", "name", "known_label", "event_time", "partition", "offset", "defect"
)
"""All that an `ImageMessage` has, in its order, but for its content and the message it came in."""


class Guard(Protocol):
    """Decodes an image within the limits of time and memory that are set for it."""

    def __call__(
        self, row: int, content: bytes, limits: Limits, preprocess: Preprocess, *, measures: bool
    ) -> Decoded:
        """Decode the image at that row of what is in hand, and measure it, if that is asked for.

        Raises:
            Unclassifiable: it is refused.
        """


class Task(Protocol):
    """Something to do with images. It can be pickled, and so can its answer."""

    def __call__(self, contents: Sequence[bytes], guard: Guard) -> object:
        """Do it. Raises InterceptorError."""


@dataclass(frozen=True, slots=True)
class DecodeImage:
    """Decode one image."""

    limits: Limits
    preprocess: Preprocess
    measures: bool

    def __call__(self, contents: Sequence[bytes], guard: Guard) -> Decoded:
        """Return what `flumen.interceptor.decoding.decode_image` does, with the statistics if they are asked for."""
        return guard(0, contents[0], self.limits, self.preprocess, measures=self.measures)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a piece of a batch. `rows`: which of its images go on, with these columns.

    `rejects`: the others' rows, stages and errors. `seconds`: what each interceptor took, by name.
    """

    rows: Sequence[int]
    columns: Mapping[str, ColumnValues]
    rejects: Sequence[tuple[int, str, Exception]]
    seconds: Mapping[str, float]

    def of(self, images: Sequence[ImageMessage]) -> Intercepted:
        """Return it with the images themselves."""
        oks = Batch([images[row] for row in self.rows], self.columns)
        return Intercepted(oks, [Reject(images[row], stage, error) for row, stage, error in self.rejects])


ANSWERS = (
    Answer,
    Decoded,
    *(
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, InterceptorError)
    ),
)
"""All that what comes back from a process is made of, beside built-in values and arrays."""


@dataclass(frozen=True, slots=True)
class Intercept:
    """Send images through interceptors, by name; contents come beside.

    `messages`: what else there is of each. `refused`: images that are decoded no more, and why. With `is_watched`,
    small ones are decoded within limits as well, so that it is known which of them ends the process.
    """

    names: tuple[str, ...]
    messages: Sequence[tuple[object, ...]]
    preprocess: Preprocess
    limits: Limits
    refused: Mapping[int, Unclassifiable]
    is_watched: bool = False

    def __call__(self, contents: Sequence[bytes], guard: Guard) -> Answer:
        """Do it."""
        images = [
            ImageMessage(message[0], content, *message[1:], row)  # type: ignore[arg-type, call-arg]
            for row, (message, content) in enumerate(zip(self.messages, contents, strict=True))
        ]
        # By identity: an interceptor knows an image's bytes and not its row, and equal bytes have rows of their own.
        # None and one byte are one object for all rows, which does no harm: no image is of so few.
        rows = {id(content): row for row, content in enumerate(contents)}
        measured_guard = partial(guard, measures="statistics" in self.names)

        def decode(content: bytes, limits: Limits, preprocess: Preprocess) -> Decoded:
            row = rows[id(content)]
            if row in self.refused:
                raise self.refused[row]
            return measured_guard(row, content, limits, preprocess)

        took: dict[str, list[float]] = {name: [] for name in self.names}
        chain = [
            Timed(step, took[name].append) for name, step in zip(self.names, _made(self.names), strict=True)
        ]
        small = [None] * len(images) if self.is_watched else None
        context = Context(Unloaded(self.preprocess), 0, self.limits, decoder=decode)
        step = intercept(Batch(images), context, chain, small)
        return Answer(
            [_row(image) for image in step.oks.images],
            step.oks.columns,
            [(_row(reject.image), reject.stage, reject.error) for reject in step.errs],
            {name: sum(seconds) for name, seconds in took.items()},
        )


def intercept_task(
    names: tuple[str, ...],
    images: Sequence[ImageMessage],
    context: Context,
    refused: Mapping[int, Unclassifiable],
    *,
    is_watched: bool,
) -> Intercept:
    """Return what to ask for these images of a batch."""
    messages = list(map(_OF_A_MESSAGE, images))
    return Intercept(
        names, messages, context.classifier.preprocess, context.limits, refused, is_watched=is_watched
    )


def leading(chain: Sequence[Interceptor]) -> tuple[str, ...]:
    """Return the names of a chain's first interceptors that can run in another process.

    These are flumen's own, and of a model they need nothing but its `preprocess`. What only serves interceptors and is
    large (`views`) does not come back from there. So there are none where one behind them might read it, and none
    without `decode`: nothing else is worth the way.
    """
    names = {make: name for name, make in _OURS.items()}
    found: list[str] = []
    for interceptor in chain:
        name = names.get(type(interceptor))
        if name is None:
            break
        found.append(name)
    behind = chain[len(found) :]
    is_told = {"statistics", "metadata"} <= set(found) or all(type(each) is Classify for each in behind)
    return tuple(found) if "decode" in found and is_told else ()


@lru_cache(maxsize=4)
def _made(names: tuple[str, ...]) -> tuple[Interceptor, ...]:
    return tuple(_OURS[name]() for name in names)


def _row(image: ImageMessage) -> int:
    row = image.origin
    assert isinstance(row, int)
    return row
