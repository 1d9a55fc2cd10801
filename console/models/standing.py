"""How a model stands: which version classifies, which is scored in shadow, and on which workers."""

from collections.abc import Sequence
from dataclasses import dataclass

from flumen.console.models.following import Known
from flumen.streams.control.operator.fleet import FleetView
from flumen.streams.control.records import WorkerStatus


@dataclass(frozen=True, slots=True)
class Standing:
    """A model's fleet, and the version that the alias `champion` names, for one that nobody has swapped yet."""

    name: str
    view: FleetView
    alias: int | None

    @property
    def champion(self) -> int | None:
        """The version that is to classify."""
        return self.view.desired.champion.version if self.view.desired else self.alias

    @property
    def challenger(self) -> int | None:
        """The version that is to be scored in shadow."""
        found = self.view.desired.challenger if self.view.desired else None
        return found.version if found else None

    @property
    def prepare(self) -> int | None:
        """The version that workers are to have ready."""
        found = self.view.desired.prepare if self.view.desired else None
        return found.version if found else None

    def roles(self, version: int) -> list[str]:
        """Return what a version is."""
        named = {"champion": self.champion, "challenger": self.challenger, "to be ready": self.prepare}
        return [role for role, one in named.items() if one == version]

    def workers(self, version: int) -> list[str]:
        """Return the workers that classify with a version now."""
        return [status.worker for status in self.view.live if _version(status) == version]


def standing_of(name: str, known: Known, alias: int | None) -> Standing:
    """Return how a model stands by what was last heard."""
    return Standing(name, known.views.get(name) or FleetView(name, None, ()), alias)


def running_elsewhere(name: str, known: Known) -> Sequence[str]:
    """Return the other models that workers follow."""
    return [other for other, view in known.views.items() if other != name and view.live]


def _version(status: WorkerStatus) -> int | None:
    return status.champion.version if status.champion else None
