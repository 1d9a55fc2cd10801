"""What an impact came to, kept beside the new version: `<root>/<name>/<version>/report/impact-<old>-<version>.json`.

A later impact of the same two versions takes its place. It says which files the two models were, by their sha256.
"""

import os
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from flumen.models.evaluation.kept import report_folder
from flumen.models.manifest import Manifest, Sha256, Share
from flumen.models.storage import open_storage
from flumen.replay.errors import ImpactUnreadable

SCHEMA = 1
Difference = Annotated[float, Field(ge=-1, le=1)]
_MOST_BYTES = 1024 * 1024
_FILE = re.compile(r"impact-([a-z0-9][a-z0-9_-]{0,99})-([1-9][0-9]{0,8})\.json")


@with_config(ConfigDict(extra="ignore", strict=True, allow_inf_nan=False))
@dataclass(frozen=True, kw_only=True, slots=True)
class ImpactRecord:
    """The outcome of an impact on all images, or a sample of all. Times are microseconds since the epoch.

    `newest_us`: when the newest image of all had arrived; None in records of earlier versions. `difference`: accuracy
    of the new model less that of the old one, with its interval; None without labels.
    """

    schema: Annotated[int, Field(ge=1)]
    old: str
    old_sha256: Sha256
    new: str
    new_sha256: Sha256
    snapshot_us: Annotated[int, Field(ge=0)]
    images: Annotated[int, Field(ge=1)]
    population: Annotated[int, Field(ge=1)]
    agreement: Share
    labelled: Annotated[int, Field(ge=0)]
    newest_us: Annotated[int, Field(ge=0)] | None = None
    difference: Difference | None = None
    difference_low: Difference | None = None
    difference_high: Difference | None = None


@with_config(ConfigDict(extra="ignore", strict=True))
@dataclass(frozen=True, slots=True)
class _Schema:
    """What a record of any schema says of itself."""

    schema: Annotated[int, Field(ge=1)]


_ADAPTER = TypeAdapter(ImpactRecord)
_SCHEMA = TypeAdapter(_Schema)


class ImpactRecords:
    """The records of a repository. Raises RepositoryUnavailable where the storage does not answer."""

    def __init__(self, url: str | os.PathLike[str]) -> None:
        """Open a repository in a folder or at any fsspec URL."""
        self._storage = open_storage(url)
        self._url = os.fspath(url)

    def keep(self, old: Manifest, new: Manifest, record: ImpactRecord) -> None:
        """Write a record. A reader sees the old one or the new one, never a part."""
        self._storage.replace(_path(old, new), _ADAPTER.dump_json(record, indent=2))

    def olds(self, name: str, version: int) -> list[tuple[str, int]]:
        """Return the models, by name and version, that a version has an impact in place of."""
        files = sorted(self._storage.entries(report_folder(name, version)))
        found = (_FILE.fullmatch(file) for file in files)
        return [(each[1], int(each[2])) for each in found if each]

    def of(self, old: Manifest, new: Manifest) -> ImpactRecord | None:
        """Return the record of these two versions, None where there is none of these very files.

        Raises:
            ImpactUnreadable: it is damaged, or of a later version of flumen.
        """
        path = _path(old, new)
        content = self._storage.read(path, _MOST_BYTES)
        if content is None:
            return None
        again = f"run `flumen impact {old} {new}` again"
        try:
            schema = _SCHEMA.validate_json(content).schema
            if schema > SCHEMA:
                raise ImpactUnreadable(
                    f"{self._url}/{path} has schema {schema}, and this version of flumen reads {SCHEMA}. Upgrade "
                    f"flumen here, or {again}"
                )
            record = _ADAPTER.validate_json(content)
        except ValidationError as error:
            raise ImpactUnreadable(
                f"{self._url}/{path} is no impact: {error.errors()[0]['msg']}; {again}"
            ) from error
        bounds = record.difference, record.difference_low, record.difference_high
        if (record.old, record.new) != (str(old), str(new)) or (record.labelled > 0) != (None not in bounds):
            raise ImpactUnreadable(f"{self._url}/{path} contradicts itself; {again}")
        files = record.old_sha256, record.new_sha256
        return record if files == (old.sha256, new.sha256) else None


def _path(old: Manifest, new: Manifest) -> str:
    return f"{report_folder(new.name, new.version)}/impact-{old.name}-{old.version}.json"
