"""Reports of evaluations in a model repository: `<root>/<name>/<version>/report/evaluation-<data>.json`.

A version's model and manifest never change. Its reports stand beside them, one for each set of images: a second
evaluation with the same images takes the first one's place.
"""

import os

from flumen.models.errors import ReportInvalid
from flumen.models.evaluation.report import Report, from_json, to_json
from flumen.models.names import check_name, check_version
from flumen.models.storage import open_storage

REPORTS = "report"
MAX_REPORT_BYTES = 64 * 1024 * 1024
_FINGERPRINT_SIGNS = 16
_PREFIX, _SUFFIX = "evaluation-", ".json"


class Reports:
    """The reports of all models of a repository.

    Every method raises RepositoryUnavailable where the storage does not answer, and BadModelName for a name or a
    version that is not allowed.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        """Open a repository in a folder or at any fsspec URL."""
        self.url = os.fspath(url)
        self._storage = open_storage(url)

    def keep(self, report: Report) -> str:
        """Write a report, and return where it is. A reader sees the old one or the new one, never a part."""
        folder = report_folder(report.model, report.version)
        path = f"{folder}/{_PREFIX}{report.data.sha256[:_FINGERPRINT_SIGNS]}{_SUFFIX}"
        self._storage.replace(path, to_json(report))
        return f"{self.url}/{path}"

    def of(self, name: str, version: int) -> list[Report]:
        """Return all reports of a version, the newest first.

        Raises:
            ReportInvalid: one of them is damaged, or of a later version of flumen.
        """
        folder = report_folder(name, version)
        files = sorted(self._storage.entries(folder))
        mine = (file for file in files if file.startswith(_PREFIX) and file.endswith(_SUFFIX))
        reports = [self._read(f"{folder}/{file}") for file in mine]
        return sorted(reports, key=lambda report: -report.evaluated_at)

    def _read(self, path: str) -> Report:
        content = self._storage.read(path, MAX_REPORT_BYTES + 1) or b""
        if len(content) > MAX_REPORT_BYTES:
            raise ReportInvalid(f"{self.url}/{path} has more than {MAX_REPORT_BYTES:,} bytes")
        return from_json(content, f"{self.url}/{path}")


def report_folder(name: str, version: int) -> str:
    """Return where in a repository the reports of a version stand.

    Raises:
        BadModelName: there cannot be such a version.
    """
    return f"{check_name(name)}/{check_version(version)}/{REPORTS}"
