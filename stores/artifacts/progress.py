"""How a download, or the start of a server, reports where it is, without knowing who listens."""

from typing import Protocol


class Progress(Protocol):
    """A listener. It may be called from several threads at once."""

    def __call__(self, task: str, done: int, total: int, unit: str) -> None:
        """Learn that `task` is at `done` of `total`; `unit` is `bytes`, or `steps`: 0 begun, 1 of 1 ended."""


def silent(task: str, done: int, total: int, unit: str) -> None:
    """Listen to nothing."""
