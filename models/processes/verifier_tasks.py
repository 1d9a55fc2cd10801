"""What `flumen.models.processes.verifier` asks its helper to do with a file, and what the helper says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flumen.models import errors
from flumen.models.errors import ModelError
from flumen.models.manifest import Manifest
from flumen.models.structure import Signature, read_signature
from flumen.models.verify import answer, verify

Throttle = Callable[[], None]
READY = "ready"


class Task(Protocol):
    """Something to do with a file's bytes. It can be pickled, and so can its answer."""

    @property
    def subject(self) -> str:
        """What messages call the file."""

    def __call__(self, content: bytes, throttle: Throttle) -> object:
        """Do it; `throttle` is called between two steps. Raises ModelRefused."""


@dataclass(frozen=True, slots=True)
class Request:
    """A task, and the seconds of processor time that it may take; the file's bytes follow."""

    task: Task
    time_s: float


@dataclass(frozen=True, slots=True)
class Step:
    """A step is done, and the next one waits for a word. `worked_s`: processor time since the helper began."""

    worked_s: float


@dataclass(frozen=True, slots=True)
class Done:
    """The task's answer, or the ModelError that is the reason why there is none."""

    answer: object


SAID = (
    Step,
    Done,
    Signature,
    *(each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ModelError)),
)
"""All that what the helper says is made of, beside built-in values and arrays."""


@dataclass(frozen=True, slots=True)
class Verify:
    """`flumen.models.verify.verify`, without the classifier."""

    manifest: Manifest
    threads: int
    max_bytes: int
    batch_sizes: tuple[int, ...]

    @property
    def subject(self) -> str:
        """The model."""
        return str(self.manifest)

    def __call__(self, content: bytes, throttle: Throttle) -> None:
        """Verify it."""
        verify(
            content,
            self.manifest,
            threads=self.threads,
            max_bytes=self.max_bytes,
            batch_sizes=self.batch_sizes,
            throttle=throttle,
        )


@dataclass(frozen=True, slots=True)
class ReadSignature:
    """`flumen.models.structure.read_signature`."""

    subject: str

    def __call__(self, content: bytes, throttle: Throttle) -> Signature:
        """Read it."""
        throttle()
        return read_signature(content, self.subject)


@dataclass(frozen=True, slots=True)
class Answer:
    """`flumen.models.verify.answer`; `images` as there."""

    manifest: Manifest
    images: NDArray[np.uint8]

    @property
    def subject(self) -> str:
        """The model."""
        return str(self.manifest)

    def __call__(self, content: bytes, throttle: Throttle) -> NDArray[np.float32]:
        """Classify them."""
        return answer(content, self.manifest, self.images, throttle=throttle)
