"""What was found in one image's metadata, and what could not be read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flumen.interceptor.metadata.errors import Unreadable

MAX_ERRORS = 20
"""Errors that are listed of one image; one that has more is broken as a whole."""

_Read = TypeVar("_Read")


@dataclass(slots=True)
class Findings:
    """Values by column, and errors in the order in which they were met. What was found first counts."""

    values: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def keep(self, column: str, value: Any) -> None:
        """Keep a value, unless it is None or empty or the column has one."""
        if value not in (None, "", []):
            self.values.setdefault(column, value)

    def miss(self, name: str, reason: str) -> None:
        """List what could not be read, by the name that its standard gives it."""
        error = f"{name}: {reason}"
        if len(self.errors) < MAX_ERRORS and error not in self.errors:
            self.errors.append(error)

    def attempt(self, name: str, read: Callable[[], _Read]) -> _Read | None:
        """Return what `read` returns; where it raises `Unreadable`, list that and return None."""
        try:
            return read()
        except Unreadable as error:
            self.miss(name, str(error))
            return None
