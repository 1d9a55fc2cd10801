"""The seam for upgrades: what a store that exists lacks, and adding it. Nothing is dropped, renamed or retyped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Addition:
    """A column, or a field of the index, that is missing; `type` is the store's own name for what it holds."""

    store: str
    table: str
    column: str
    type: str


class Migration(Protocol):
    """Brings what a store holds up to what workers write. Tables that are not there are left to the first worker."""

    def plan(self) -> Sequence[Addition]:
        """Return what is missing. Nothing is changed.

        Raises:
            StoreUnavailable: the server does not answer.
            SchemaMismatch: something differs that adding does not mend.
            DriverMissing: the chosen driver is not installed.
        """

    def apply(self) -> None:
        """Add what is missing by now, and check all of it. Made twice, also at the same time, it is made once.

        Raises:
            StoreUnavailable: the server does not answer; what was added stays, and the rest is added the next time.
            SchemaMismatch: as `plan`.
            StoreRefused: the server does not take the change; says what to do instead.
        """

    def close(self) -> None:
        """Release connections. A second call does nothing."""
