"""How a version's training went, beside its model: `<root>/<name>/<version>/report/training.json`."""

import json
import math
from collections.abc import Sequence

from flumen.models.errors import ReportInvalid
from flumen.models.evaluation.kept import report_folder
from flumen.models.storage import open_storage
from flumen.models.trainers.trainer import Progress

SCHEMA = 1
"""The newest schema that is read here. Keys that are not known are ignored."""

_FILE = "training.json"
_MOST_BYTES = 1024 * 1024
_MOST_ROUNDS = 1_000


def keep_rounds(url: str, name: str, version: int, rounds: Sequence[Progress]) -> None:
    """Write the rounds of a training; of more than 1,000, some that are evenly spaced, the last among them.

    Raises:
        RepositoryUnavailable: they cannot be written.
    """
    if not rounds:
        return
    step = -(-len(rounds) // _MOST_ROUNDS)
    rows = [
        [one.number, _finite(one.loss), _finite(one.accuracy), one.seconds]
        for one in rounds[::-1][::step][::-1]
    ]
    content = json.dumps({"schema": SCHEMA, "total": rounds[-1].total, "rounds": rows}, separators=(",", ":"))
    open_storage(url).replace(_path(name, version), content.encode())


def rounds_of(url: str, name: str, version: int) -> tuple[Progress, ...]:
    """Return the rounds that were kept of a version, in order; none where it was registered without.

    Raises:
        ReportInvalid: they are damaged, or of a later version of flumen.
        RepositoryUnavailable: they cannot be read.
    """
    path = _path(name, version)
    content = open_storage(url).read(path, _MOST_BYTES)
    if content is None:
        return ()
    try:
        kept = json.loads(content)
        if kept["schema"] <= SCHEMA:
            return tuple(_progress(row, int(kept["total"])) for row in kept["rounds"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ReportInvalid(f"{url}/{path} is damaged: {error!r}. Remove it, or train again") from error
    raise ReportInvalid(
        f"{url}/{path} has schema {kept['schema']}, and this version of flumen reads up to {SCHEMA}: upgrade it"
    )


def _progress(row: Sequence[float | None], total: int) -> Progress:
    number, loss, accuracy, seconds = (None if one is None else float(one) for one in row[:4])
    if number is None or seconds is None:
        raise ValueError("a round has no number or no time")
    return Progress(int(number), total, loss, accuracy, seconds)


def _finite(value: float | None) -> float | None:
    """Return a number that JSON has; a loss that was none is none."""
    return value if value is not None and math.isfinite(value) else None


def _path(name: str, version: int) -> str:
    return f"{report_folder(name, version)}/{_FILE}"
