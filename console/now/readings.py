"""What is seen of a moment: rates and delays as a sample, the state of each store, swaps."""

from collections.abc import Sequence
from dataclasses import dataclass

from flumen.streams.control.operator.fleet import FleetView
from flumen.streams.kafka.progress import PartitionProgress


@dataclass(frozen=True, slots=True)
class Sample:
    """A point of every curve; what is not known is None.

    `at` is microseconds since 1970; rates are images/s, `lag` messages, delays seconds from produce to both stores.
    """

    at: int
    published_per_s: float | None = None
    stored_per_s: float | None = None
    lag: int | None = None
    p50_s: float | None = None
    p99_s: float | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far the workers' group is in each partition, at a moment of a clock in seconds."""

    at_s: float
    partitions: Sequence[PartitionProgress]

    @property
    def published(self) -> int:
        """Rises by one with each message that is published."""
        return sum(each.ends for each in self.partitions)

    @property
    def lag(self) -> int:
        """How many messages are not acknowledged."""
        return sum(each.lag for each in self.partitions)


@dataclass(frozen=True, slots=True)
class Swap:
    """A change of a model, as the audit log has it: when it was written, and when the first worker had followed.

    Times are microseconds since 1970; `workers` have said that it took effect.
    """

    at: int
    took_effect_at: int | None
    model: str
    change: str
    by: str
    reason: str
    workers: int


@dataclass(frozen=True, slots=True)
class FleetReading:
    """The workers of every model, and the last swaps of all, the newest first."""

    views: Sequence[FleetView]
    swaps: Sequence[Swap]


@dataclass(frozen=True, slots=True)
class StoreState:
    """How a store does: `up`, `down`, or `asked` where it has not answered yet; what it says; how long that took."""

    store: str
    state: str
    says: str = ""
    took_s: float | None = None
