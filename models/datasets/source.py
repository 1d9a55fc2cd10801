"""What a source of labelled images is, whatever holds them: batches of pixels, and what was left out.

A source gives the same pixels as the live path for the same file: it decodes by the same code (`pictures.py`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess

BATCH_IMAGES = 1024
"""As many images a batch as the files' sources give."""

MAX_CLASSES = 256
"""Labels of a data set are kept as one byte each."""

EXAMPLES = 5
"""Of what is left out for one reason, so many are named."""

UNDECODABLE = "that cannot be decoded"
UNREADABLE = "that cannot be read"
OTHER_SIZE = "of another size"
NO_LABEL = "without a label"
OTHER_LABEL = "with a label outside the classes"
OUTSIDE = "outside the folder"
REPEATED = "with an id that came before"


@dataclass(frozen=True, slots=True)
class Skip:
    """One image that was left out. `reason` is one of this module's; `why` says more of this one, or is empty.

    `more`: how many others it stands for as well, which are not named.
    """

    reason: str
    id: str
    why: str = ""
    more: int = 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """All that was left out for one reason: how many, and the first `EXAMPLES` of them."""

    reason: str
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.count:,} {self.reason}: {', '.join(self.examples)}{more}"


@dataclass(frozen=True, slots=True)
class ImageBatch:
    """Images as a source gives them; row i of each array is of one image.

    `ids`; `groups`: what is kept on one side of a split, the id itself where there are no groups; `pixels`: uint8,
    n x height x width [x 3], at the model's size; `labels`: int32, n. `skipped`: what was left out on the way here.
    `position`: where a scan goes on that takes this batch for done.
    """

    ids: Sequence[str]
    groups: Sequence[str]
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int32]
    position: str
    skipped: Sequence[Skip] = ()

    def __len__(self) -> int:
        return len(self.ids)


class ImageSource(Protocol):
    """Where labelled images are. Each scan reads all of it, in constant memory."""

    @property
    def text(self) -> str:
        """What it is, in a few words for people, such as `photos.csv`."""

    @property
    def selection(self) -> Mapping[str, Any]:
        """What of the images is read, and how: columns, predicate, size. JSON; part of the data's fingerprint."""

    @property
    def state(self) -> str:
        """Tells where the images are, and as what they stand there now: what is kept of another state is not theirs."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, position = label; empty where labels are numbers without names."""

    @property
    def preprocess(self) -> Preprocess:
        """The size at which images are given, and how they come to it."""

    def scan(self, position: str = "") -> Iterator[ImageBatch]:
        """Read the images, or what is left of them behind the position of a batch.

        Nothing is left out so. A source that reads several parts at once gives those images again whose part was not at
        its end at that position.

        Raises:
            DatasetInvalid: the source cannot be read, or the position is none of this source's.
        """


@dataclass(slots=True)
class Tally:
    """Counts what is left out, by reason."""

    _counts: dict[str, int] = field(default_factory=dict)
    _examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, skips: Iterable[Skip]) -> None:
        """Count these too."""
        for skip in skips:
            self._counts[skip.reason] = self._counts.get(skip.reason, 0) + 1 + skip.more
            named = self._examples.setdefault(skip.reason, [])
            if len(named) < EXAMPLES:
                named.append(f"{skip.id} ({skip.why})" if skip.why else skip.id)

    def result(self) -> tuple[Skipped, ...]:
        """Return what was left out, the most frequent reason first."""
        ordered = sorted(self._counts.items(), key=lambda each: (-each[1], each[0]))
        return tuple(Skipped(reason, count, tuple(self._examples[reason])) for reason, count in ordered)


def outside_classes(labels: NDArray[np.int32], names: Sequence[str]) -> NDArray[np.bool_]:
    """Say of each label whether it is none of the classes'; without names, 0 to `MAX_CLASSES` - 1 are."""
    return (labels < 0) | (labels >= (len(names) or MAX_CLASSES))
