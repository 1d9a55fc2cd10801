"""What computes the runs of an experiment that this machine has claimed: an engine, which `--engine` names.

Who claims them, and keeps what comes of them, is the scheduler, whatever the engine is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from flumen.models.experiments.jobs import Export, Exported, Job, Result
from flumen.models.experiments.run import Round
from flumen.models.experiments.setting import Setting


@dataclass(frozen=True, slots=True)
class Ended:
    """What had a run in hand ended by itself, and the run with it, of which nothing is known."""

    reason: str


Message = Round | Result | Exported | Ended


class Engine(Protocol):
    """Computes several runs at the same time. It belongs to one thread."""

    @property
    def machine(self) -> str:
        """Where it computes: what a run's record names as its machine."""

    @property
    def has_room(self) -> bool:
        """Whether another run can be begun."""

    def in_order(self, settings: Sequence[Setting]) -> list[Setting]:
        """Return settings in the order in which they are best begun."""

    def begin(self, run_id: str, job: Job) -> None:
        """Have a run computed.

        Raises:
            EngineUnavailable: it can compute nothing any more, or not this.
        """

    def export(self, run_id: str, asked: Export) -> None:
        """Have the model made of a run whose result has come, and which is not released."""

    def messages(self, seconds: float) -> Iterable[tuple[str, Message]]:
        """Wait for so long at most; return what is new of runs, each with the run that it is about.

        Of each run come any number of rounds and then a result, or that it has ended; and of one whose model was asked
        for, that.
        """

    def release(self, run_id: str) -> None:
        """Forget a run whose result has come."""

    def close(self) -> None:
        """End at once whatever is in hand. Others may be begun afterwards."""
