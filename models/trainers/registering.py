"""How a model comes into a repository: with its report and its rounds, and as the champion where it is the first."""

from collections.abc import Sequence

from flumen.models.errors import ModelError, ReportNotKept
from flumen.models.evaluation.kept import Reports
from flumen.models.evaluation.report import Report
from flumen.models.manifest import Manifest
from flumen.models.repository import CHAMPION, Repository
from flumen.models.trainers.kept_rounds import keep_rounds
from flumen.models.trainers.making import Made
from flumen.models.trainers.trainer import Progress


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
    keep_beside(repository, made.report_of(version), made.rounds)
    return repository.manifest(name, version)


def keep_beside(repository: Repository, report: Report, rounds: Sequence[Progress]) -> None:
    """Keep the report on a version, which names it, and the rounds that it took to learn.

    Raises:
        ReportNotKept: they cannot be written.
    """
    model = f"{report.model}@{report.version}"
    try:
        Reports(repository.url).keep(report)
        keep_rounds(repository.url, report.model, report.version, rounds)
    except ModelError as error:
        raise ReportNotKept(
            f"{model} was registered without its report: {error}. `flumen evaluate {model}` makes one"
        ) from error
