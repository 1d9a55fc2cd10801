"""Which runs' models go into the repository, and how they get there."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from flumen.models.errors import ModelError, ReportNotKept
from flumen.models.experiments.data import Images
from flumen.models.experiments.jobs import Export, Exported
from flumen.models.experiments.run import Run
from flumen.models.manifest import Manifest
from flumen.models.repository import Repository
from flumen.models.trainers.registering import keep_beside

Keep = Literal["best", "all", "none"]


@dataclass(frozen=True, slots=True)
class Kept:
    """A model that is registered; `missing`: why its report does not stand beside it, None where it does."""

    version: int
    sha256: str
    missing: str | None = None


class Keeper:
    """Registers models of runs under one name.

    "best" are the runs that are better than all before them when they end: the best of an experiment is always there,
    also where it was interrupted, and a few that were best for a while. What is better is decided on the validation
    part, or where there is none on the test images.
    """

    def __init__(self, repository: Repository, name: str, keep: Keep, images: Images) -> None:
        self._repository = repository
        self._name = name
        self._keep = keep
        self._images = images
        self._best = -1.0
        self.registered: list[Manifest] = []
        """Those that `register` has registered."""

    def know(self, runs: Iterable[Run]) -> None:
        """Learn of runs that stand, and whose models are there under this name."""
        kept = [
            run.accuracy
            for run in runs
            if run.reference and run.model == self._name and run.accuracy is not None
        ]
        self._best = max([self._best, *kept])

    def wants(self, run: Run) -> bool:
        """Say whether the model of a run that has ended is to be kept."""
        if run.state != "done" or self._keep == "none":
            return False
        return self._keep == "all" or (run.accuracy is not None and run.accuracy > self._best)

    def request(self, run: Run) -> Export:
        """Return what asks for a run's model."""
        return Export(
            self._name,
            self._images.fingerprint.text,
            self._images.fingerprint.sha256,
            {"run": run.run_id, "experiment": run.experiment},
        )

    def register(self, exported: Exported) -> Kept:
        """Register a model, and keep the report on it beside it.

        One that is there already is not registered again.

        Raises:
            ModelError: it was not made, or is refused, or cannot be written.
        """
        manifest = exported.manifest
        if manifest is None:
            raise ModelError(f"its model cannot be exported: {exported.error}")
        version = self._version_of(manifest)
        if version is None:
            version = self._repository.register(exported.content, manifest)
        # From here on it is there, whatever becomes of what stands beside it.
        self.registered.append(replace(manifest, version=version))
        return Kept(version, manifest.sha256, self._keep_beside(version, exported))

    def _version_of(self, manifest: Manifest) -> int | None:
        """Return the version of a model that is there: whoever was killed before the run's end has left it."""
        for version in reversed(self._repository.versions(self._name)):
            if self._repository.manifest(self._name, version).sha256 == manifest.sha256:
                return version
        return None

    def _keep_beside(self, version: int, exported: Exported) -> str | None:
        """Keep the report and the rounds; return why not, if they cannot be kept."""
        if exported.report is None:
            return None
        try:
            keep_beside(self._repository, replace(exported.report, version=version), exported.rounds)
        except ReportNotKept as error:
            return str(error)
        return None
