"""What an impact came to, kept beside the new version: `<root>/<name>/<version>/report/impact-<old>-<version>.json`.

A later impact of the same two versions takes its place. It says which files the two models were, by their sha256.
"""

import os
from dataclasses import dataclass

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from flumen.models.manifest import Manifest
from flumen.models.storage import open_storage
from flumen.replay.errors import ImpactUnreadable

SCHEMA = 1
_MOST_BYTES = 1024 * 1024


@with_config(ConfigDict(extra="ignore", strict=True, allow_inf_nan=False))
@dataclass(frozen=True, kw_only=True, slots=True)
class ImpactRecord:
    """The outcome of an impact. Times are microseconds since the epoch; shares are from 0 to 1.

    `difference`: accuracy of the new model less that of the old one, with its interval; None without labels.
    """

    schema: int = SCHEMA
    old: str
    old_sha256: str
    new: str
    new_sha256: str
    where: str
    snapshot_us: int
    images: int
    population: int
    agreement: float
    labelled: int
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None


_ADAPTER = TypeAdapter(ImpactRecord)


class ImpactRecords:
    """The records of a repository. Raises RepositoryUnavailable where the storage does not answer."""

    def __init__(self, url: str | os.PathLike[str]) -> None:
        """Open a repository in a folder or at any fsspec URL."""
        self._storage = open_storage(url)
        self._url = os.fspath(url)

    def keep(self, old: Manifest, new: Manifest, record: ImpactRecord) -> None:
        """Write a record. A reader sees the old one or the new one, never a part."""
        self._storage.replace(_path(old, new), _ADAPTER.dump_json(record, indent=2))

    def of(self, old: Manifest, new: Manifest) -> ImpactRecord | None:
        """Return the record of these two versions, None where there is none of these very files.

        Raises:
            ImpactUnreadable: it is damaged, or of a later version of flumen.
        """
        path = _path(old, new)
        content = self._storage.read(path, _MOST_BYTES)
        if content is None:
            return None
        try:
            record = _ADAPTER.validate_json(content)
        except ValidationError as error:
            raise ImpactUnreadable(
                f"{self._url}/{path} is no impact: {error.errors()[0]['msg']}. Run `flumen impact {old} {new}` again"
            ) from error
        if record.schema > SCHEMA:
            raise ImpactUnreadable(
                f"{self._url}/{path} has schema {record.schema}, and this version of flumen reads {SCHEMA}. Upgrade "
                f"flumen here, or run `flumen impact {old} {new}` again"
            )
        files = record.old_sha256, record.new_sha256
        return record if files == (old.sha256, new.sha256) else None


def _path(old: Manifest, new: Manifest) -> str:
    return f"{new.name}/{new.version}/report/impact-{old.name}-{old.version}.json"
