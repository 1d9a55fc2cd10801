"""What the model repository holds, as pages show it. What is damaged is listed with its problem, and hides nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flumen.console.errors import NotThere
from flumen.models.errors import ModelError
from flumen.models.evaluation.kept import Reports
from flumen.models.evaluation.report import Report
from flumen.models.manifest import Manifest
from flumen.models.names import check_name
from flumen.models.reports.pictures import small_png
from flumen.models.repository import CHAMPION, Repository
from flumen.models.trainers.kept_rounds import rounds_of
from flumen.models.trainers.trainer import Progress
from flumen.replay.errors import ImpactUnreadable
from flumen.replay.impact.kept import ImpactRecord, ImpactRecords


@dataclass(frozen=True, slots=True)
class Listed:
    """A version in a list: its aliases and its manifest, or the problem that it has."""

    name: str
    version: int
    aliases: Sequence[str] = ()
    manifest: Manifest | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Impact:
    """What was kept of what would change with the new one, or why that cannot be told."""

    old: str
    new: str
    record: ImpactRecord | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """All that the repository knows of a version. `problems`: what of it cannot be read."""

    manifest: Manifest
    aliases: Sequence[str]
    reports: Sequence[Report]
    rounds: Sequence[Progress]
    problems: Sequence[str]

    @property
    def report(self) -> Report | None:
        """The newest report on it."""
        return self.reports[0] if self.reports else None

    @property
    def confusion(self) -> Sequence[Sequence[int]] | None:
        """Images by known and predicted class: of the manifest's scores, else of the newest report."""
        scores = self.manifest.scores
        return scores.confusion if scores else self.report.confusion if self.report else None


class Catalogue:
    """Reads a repository. Every method raises ModelError where it cannot be read."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._url = repository.url

    def close(self) -> None:
        """Do nothing: it holds no connection."""

    def listed(self) -> dict[str, list[Listed]]:
        """Return all versions by the names of their models, the newest first."""
        names = self._repository.names()
        return {
            name: [self._listed(name, version) for version in reversed(self._repository.versions(name))]
            for name in names
        }

    def version(self, reference: str) -> Version:
        """Return a version; of a name alone, the champion."""
        manifest = self._repository.resolve(reference)
        name, version = manifest.name, manifest.version
        problems: list[str] = []
        reports: Sequence[Report] = ()
        rounds: Sequence[Progress] = ()
        try:
            reports = Reports(self._url).of(name, version)
            rounds = rounds_of(self._url, name, version)
        except ModelError as error:
            problems.append(str(error))
        return Version(manifest, self._repository.aliases(name, version), reports, rounds, problems)

    def manifest(self, name: str, version: int) -> Manifest:
        """Return a version's manifest."""
        return self._repository.manifest(name, version)

    def champion(self, name: str) -> int | None:
        """Return the version that the alias `champion` names."""
        return self._repository.alias(check_name(name), CHAMPION)

    def impact(self, old: Manifest, new: Manifest) -> ImpactRecord | str | None:
        """Return what was kept of what would change; a text where that cannot be read, None where nothing was."""
        try:
            return ImpactRecords(self._url).of(old, new)
        except ImpactUnreadable as error:
            return str(error)

    def impacts(self) -> list[Impact]:
        """Return what was kept of every impact, the newest first; where one cannot be read, why, at the end."""
        records = ImpactRecords(self._url)
        found = [
            self._impact(old, (name, version))
            for name in self._repository.names()
            for version in self._repository.versions(name)
            for old in records.olds(name, version)
        ]
        return sorted(found, key=lambda each: -each.record.snapshot_us if each.record else 0)

    def golden(self, reference: str, number: int) -> bytes:
        """Return a golden image as PNG.

        Raises:
            NotThere: there is none of that number.
        """
        manifest = self._repository.resolve(reference)
        if number >= len(manifest.golden):
            raise NotThere(f"{manifest} has {len(manifest.golden)} golden images")
        size = manifest.input.preprocess
        pixels = np.frombuffer(manifest.golden[number].pixels, np.uint8)
        return small_png(pixels.reshape(size.height, size.width, size.channels))

    def _impact(self, old: tuple[str, int], new: tuple[str, int]) -> Impact:
        names = f"{old[0]}@{old[1]}", f"{new[0]}@{new[1]}"
        try:
            manifests = self._repository.manifest(*old), self._repository.manifest(*new)
        except ModelError as error:
            return Impact(*names, problem=str(error))
        found = self.impact(*manifests)
        if found is None:
            return Impact(*names, problem="it is of other files than those that have these names now")
        return Impact(*names, problem=found) if isinstance(found, str) else Impact(*names, found)

    def _listed(self, name: str, version: int) -> Listed:
        try:
            aliases = self._repository.aliases(name, version)
            return Listed(name, version, aliases, self._repository.manifest(name, version))
        except ModelError as error:
            return Listed(name, version, problem=str(error))
