"""How a model comes into a repository: with its report and its rounds, and as the champion where it is the first."""

from flumen.models.errors import ModelError, ReportNotKept
from flumen.models.evaluation.kept import Reports
from flumen.models.manifest import Manifest
from flumen.models.repository import CHAMPION, Repository
from flumen.models.trainers.kept_rounds import keep_rounds
from flumen.models.trainers.making import Made


def register(made: Made, repository: Repository) -> Manifest:
    """Keep a model as the next version of its name; return its manifest, which has the version.

    Raises:
        ModelError: it is refused, or the repository cannot be written.
        ReportNotKept: it is registered, without its report; the message says as which version.
    """
    name = made.manifest.name
    version = repository.register(made.content, made.manifest)
    if repository.alias(name, CHAMPION) is None:
        repository.set_alias(name, CHAMPION, version)
    model = f"{name}@{version}"
    try:
        Reports(repository.url).keep(made.report_of(version))
        keep_rounds(repository.url, name, version, made.rounds)
    except ModelError as error:
        raise ReportNotKept(
            f"{model} is registered, and its report is not: {error}. `flumen evaluate {model}` makes one"
        ) from error
    return repository.manifest(name, version)
