"""The models that come with flumen, for a repository that has none yet."""

from pathlib import Path

from flumen.models.errors import ManifestInvalid
from flumen.models.repository import CHAMPION, MODEL_FILE, Repository

SHIPPED = Path(__file__).with_name("shipped")


def seed(repository: Repository) -> None:
    """Give a repository the shipped models it has no version of, and a champion to those without one.

    Models that are there stay as they are. Each shipped version is verified, as everything that is registered, and the
    champion is named last: who is stopped before, or overtaken by another who does the same, leaves nothing that the
    next one does not complete.

    Raises:
        ModelError: a shipped model is damaged, or the repository cannot be written.
    """
    shipped = Repository(SHIPPED)
    for name in shipped.names():
        versions = repository.versions(name)
        has_champion = repository.alias(name, CHAMPION) is not None
        if not versions or (not has_champion and _are_shipped(repository, shipped, name)):
            numbers = {
                version: _put(repository, shipped, name, version) for version in shipped.versions(name)
            }
            versions = [numbers[shipped.resolve(name).version]]
        if not has_champion:
            repository.set_alias(name, CHAMPION, versions[-1])


def _are_shipped(repository: Repository, shipped: Repository, name: str) -> bool:
    """Say whether all versions of a repository are such as come with flumen: the beginning of what `seed` does."""
    known = {shipped.manifest(name, version).sha256 for version in shipped.versions(name)}
    try:
        return {repository.manifest(name, version).sha256 for version in repository.versions(name)} <= known
    except ManifestInvalid:
        return False


def _put(repository: Repository, shipped: Repository, name: str, version: int) -> int:
    """Register a shipped version under its own number, or as the next where another model has that; return it."""
    content = (SHIPPED / name / str(version) / MODEL_FILE).read_bytes()
    manifest = shipped.manifest(name, version)
    number = repository.register(content, manifest, version=version)
    if repository.manifest(name, number).sha256 == manifest.sha256:
        return number
    return repository.register(content, manifest)
