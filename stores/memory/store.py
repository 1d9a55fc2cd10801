"""What stands where a server would: rows that sinks and readers share."""

from dataclasses import dataclass, field
from typing import Any

from flumen.interceptor.columns import Column
from flumen.stores.corrections import Correction
from flumen.stores.errors import StoreUnavailable


@dataclass(slots=True)
class MemoryStore:
    """Rows by image id. The first sink that connects sets the columns, as it would create a table.

    `answers` are those of challengers, and those that another model's has superseded, by image id, model and version.
    `models` are the entries of the model index, by id. `corrections` are in the order of their numbers, from 1.

    With `available` False it behaves as a server that is down.
    """

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    corrections: list[Correction] = field(default_factory=list)
    columns: tuple[Column, ...] | None = None
    available: bool = True

    def ask(self) -> None:
        """Stand for a request to the server.

        Raises:
            StoreUnavailable: the store is switched off.
        """
        if not self.available:
            raise StoreUnavailable("the memory store is down; set MemoryStore.available to bring it back")
