"""A batch in pieces, each for one process: how it is cut, and what is to be done again where a process has ended."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from flumen.interceptor import Batch, Context, Intercepted, Limits
from flumen.interceptor.batch import joined
from flumen.interceptor.errors import Unclassifiable
from flumen.models.processes.interception_tasks import Answer, Intercept, intercept_task
from flumen.models.processes.kept_process import died, too_long

_BYTES_A_COST = 500
_SAMPLES_A_COST = 5_000
_LEAST_COST = 130
"""Of a piece, unless it is the only one: some 100 digits. Numpy does fewer at once less well."""

_MOST_COST = 1_500
"""Of a piece, unless it is one image: 750 KB of files or 15 MB of answers, so shared memory is bounded; and so little
time that processes end with a batch at about the same moment."""

_TRIES_OF_A_PIECE = 2
_TRIES_WATCHED = 2


@dataclass(slots=True)
class Piece:
    """Rows of a batch. `ended`: how many processes ended with it and were at no image that is decoded within limits."""

    rows: range
    ended: int = 0

    @property
    def is_watched(self) -> bool:
        """Whether small images are decoded within limits, too."""
        return self.ended >= _TRIES_OF_A_PIECE

    @property
    def is_given_up(self) -> bool:
        """Whether no image can be told that is to blame."""
        return self.ended >= _TRIES_OF_A_PIECE + _TRIES_WATCHED


@dataclass(slots=True)
class Work:
    """A batch that processes share, and the `names` of the interceptors. `waiting`: pieces that nobody has in hand."""

    batch: Batch
    context: Context
    names: tuple[str, ...]
    waiting: deque[Piece]
    seconds: Counter[str] = field(default_factory=Counter)
    _done: dict[int, Intercepted] = field(default_factory=dict)
    _refused: dict[int, Unclassifiable] = field(default_factory=dict)
    _ended_at: Counter[int] = field(default_factory=Counter)

    @property
    def limits(self) -> Limits:
        """The images' limits."""
        return self.context.limits

    def request(self, piece: Piece) -> tuple[Intercept, list[bytes]]:
        """Return what to ask a process for, and the contents of the images."""
        images = self.batch.images[piece.rows.start : piece.rows.stop]
        start = piece.rows.start
        refused = {row - start: error for row, error in self._refused.items() if row in piece.rows}
        task = intercept_task(self.names, images, self.context, refused, is_watched=piece.is_watched)
        return task, [image.content for image in images]

    def finish(self, piece: Piece, answer: Answer) -> None:
        """Keep what became of a piece."""
        self._done[piece.rows.start] = answer.of(self.batch.images[piece.rows.start : piece.rows.stop])
        self.seconds.update(answer.seconds)

    def again(self, piece: Piece, code: int, noted: int) -> None:
        """Have a piece done again at which a process ended, with this exit code and this row of it noted.

        An image is refused for the time that it took, or where it ends a second process. What lies before it goes on
        by itself: so nothing is decoded more than twice for what others did. A row that it does not have may have been
        noted by a process that was taken over.
        """
        if not 0 <= noted < len(piece.rows):
            piece.ended += 1
            self.waiting.appendleft(piece)
            return
        row = piece.rows[noted]
        self._ended_at[row] += 1
        refused = too_long(code, self.limits) or (died(code) if self._ended_at[row] > 1 else None)
        if refused is not None:
            self._refused[row] = refused
        self.waiting.appendleft(Piece(range(row, piece.rows.stop), piece.ended))
        if row > piece.rows.start:
            self.waiting.appendleft(Piece(range(piece.rows.start, row), piece.ended))

    def result(self) -> Intercepted:
        """Return what became of the batch, in its order, once no piece is left."""
        steps = [self._done[start] for start in sorted(self._done)]
        return Intercepted(
            joined([step.oks for step in steps]), [each for step in steps for each in step.errs]
        )


def share_out(batch: Batch, context: Context, names: tuple[str, ...], processes: int) -> Work:
    """Cut a batch so that so many processes share it, all of them about as long."""
    return Work(batch, context, names, deque(Piece(rows) for rows in _cut(batch, context, processes)))


def _cut(batch: Batch, context: Context, processes: int) -> Iterator[range]:
    """Yield the rows of each piece; those of an empty batch once.

    What an image costs is only guessed, by its bytes and by what the model sees of it: 1 is about 80 us.
    """
    preprocess = context.classifier.preprocess
    seen = preprocess.width * preprocess.height * preprocess.channels / _SAMPLES_A_COST
    sizes = np.array([len(image.content) for image in batch.images], np.float64)
    ends = np.cumsum(sizes / _BYTES_A_COST + 1 + seen)
    total = float(ends[-1]) if len(batch) else 0.0
    rounds = int(np.ceil(total / (_MOST_COST * processes)))
    count = min(max(1, rounds) * processes, max(1, round(total / _LEAST_COST)))
    cuts = np.searchsorted(ends, total / count * np.arange(1, count), side="right").tolist()
    start = 0
    for stop in (*cuts, len(batch)):
        if stop > start or not len(batch):
            yield range(start, stop)
            start = stop
