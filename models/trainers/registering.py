"""How a model comes into a repository: with its report and its rounds, and as the champion where it is the first."""

from flumen.models.evaluation.kept import Reports
from flumen.models.manifest import Manifest
from flumen.models.repository import CHAMPION, Repository
from flumen.models.trainers.kept_rounds import keep_rounds
from flumen.models.trainers.making import Made


def register(made: Made, repository: Repository) -> Manifest:
    """Keep a model as the next version of its name; return its manifest, which has the version.

    Raises:
        ModelError: it is refused, or the repository cannot be written.
    """
    name = made.manifest.name
    version = repository.register(made.content, made.manifest)
    if repository.alias(name, CHAMPION) is None:
        repository.set_alias(name, CHAMPION, version)
    Reports(repository.url).keep(made.report_of(version))
    keep_rounds(repository.url, name, version, made.rounds)
    return repository.manifest(name, version)
