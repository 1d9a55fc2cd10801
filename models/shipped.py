"""The model that comes with flumen, for a repository that has none yet."""

from pathlib import Path

from flumen.models.repository import CHAMPION, MODEL_FILE, Repository

SHIPPED = Path(__file__).with_name("shipped")


def seed(repository: Repository) -> None:
    """Give a repository the shipped models it has no version of, and a champion to those without one.

    Models that are there stay as they are. Each shipped one is verified, as everything that is registered.

    Raises:
        ModelError: the shipped model is damaged, or the repository cannot be written.
    """
    shipped = Repository(SHIPPED)
    for name in shipped.names():
        versions = repository.versions(name)
        if not versions:
            version = shipped.versions(name)[-1]
            folder = SHIPPED / name / str(version)
            content = (folder / MODEL_FILE).read_bytes()
            versions = [repository.register(content, shipped.manifest(name, version), first=True)]
        if repository.alias(name, CHAMPION) is None:
            repository.set_alias(name, CHAMPION, versions[-1])
