"""What the console watches beside the stores: now, and the dead letters."""

from dataclasses import dataclass

from flumen.console.dead_letters.service import DeadLetters
from flumen.console.now.collector import Collector


@dataclass(frozen=True, slots=True)
class Live:
    """What moves, while the console runs. The collector watches the dead letters as well."""

    collector: Collector
    dead_letters: DeadLetters

    def end_streams(self) -> None:
        """Let those go who look on: the console stops."""
        self.collector.viewers.end()
