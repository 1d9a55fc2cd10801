"""Which runs' models go into the repository, and how they get there."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from flumen.models.errors import ModelError
from flumen.models.evaluation.kept import Reports
from flumen.models.experiments.data import Images
from flumen.models.experiments.jobs import Export, Exported
from flumen.models.experiments.run import Run
from flumen.models.manifest import Manifest
from flumen.models.repository import Repository

Keep = Literal["best", "all", "none"]


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

    def register(self, exported: Exported) -> tuple[int, str]:
        """Register a model, and keep the report on it; return its version and its sha256.

        One that is there already is not registered again.

        Raises:
            ModelError: it was not made, or is refused, or cannot be written.
        """
        manifest = exported.manifest
        if manifest is None:
            raise ModelError(f"its model cannot be exported: {exported.error}")
        for version in reversed(self._repository.versions(self._name)):
            # Whoever was killed between the registration and the run's end has left it here.
            if self._repository.manifest(self._name, version).sha256 == manifest.sha256:
                self._note(version, exported)
                return version, manifest.sha256
        version = self._repository.register(exported.content, manifest)
        self._note(version, exported)
        return version, manifest.sha256

    def _note(self, version: int, exported: Exported) -> None:
        if exported.report is not None:
            Reports(self._repository.url).keep(replace(exported.report, version=version))
        self.registered.append(self._repository.manifest(self._name, version))
