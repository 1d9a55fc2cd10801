"""What the pages of models need, beside the stores of images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from flumen.console.models.carrying_out import RequireImpact, Worse
from flumen.console.models.catalogue import Catalogue
from flumen.console.models.following import FollowedFleet
from flumen.console.models.swaps import Swaps
from flumen.console.models.trail import AuditReader
from flumen.console.stores import Closable, Lent
from flumen.models.experiments.run_store import RunStore
from flumen.replay.images.tables import ScannedTables


class Tables(ScannedTables, Closable, Protocol):
    """What is needed of a `KuduReader` to look for drift."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Models:
    """The repository, the audit log, the fleet, the swaps that are asked for here, and what Kudu has beside images.

    `locked` returns why nobody can swap here and what to do, empty where an operator can. `worse` and `require_impact`:
    as of `carry_out_by`; they block. `requires_impact`: whether the settings do so always.
    `model_name`: the model that is meant where none is named.
    """

    catalogue: Lent[Catalogue]
    audit: Lent[AuditReader]
    fleet: FollowedFleet
    swaps: Swaps
    locked: Callable[[], str]
    runs: Lent[RunStore]
    tables: Lent[Tables]
    worse: Worse
    require_impact: RequireImpact
    requires_impact: bool
    model_name: str

    def close(self) -> None:
        """End what runs, in order."""
        self.swaps.close()
        self.fleet.close()
        self.catalogue.close()
        self.audit.close()
        self.runs.close()
        self.tables.close()
