"""The model repository that a command works on."""

from contextlib import suppress
from typing import TYPE_CHECKING

from flumen.models.errors import ModelError

if TYPE_CHECKING:
    from flumen.models.repository import Repository
    from flumen.streams.settings import Settings


def open_repository(settings: "Settings", root: str | None = None) -> "Repository":
    """Open the repository that was named, else that of the settings.

    Where nobody has chosen one, it has the shipped models, as it has once a worker has started.
    """
    from flumen.models.repository import Repository

    repository = Repository(root or settings.model_repository, limits=settings.verify_limits())
    if root is None and not settings.names_repository:
        seed_shipped(repository)
    return repository


def seed_shipped(repository: "Repository") -> None:
    """Put the shipped models into a new repository; where that fails, what is asked for and is not there says so."""
    from flumen.models import shipped

    with suppress(ModelError):
        shipped.seed(repository)
