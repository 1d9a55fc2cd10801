"""Images of an experiment that stand in a table, and change there: which moment of it they are taken from."""

from collections.abc import Sequence
from dataclasses import replace

from flumen.models.experiments.grid import Data
from flumen.models.experiments.run import Run

_KIND, _KUDU, _SNAPSHOT = "from", "kudu", "snapshot"


def at_one_moment(data: Data, runs: Sequence[Run], now_us: int) -> Data:
    """Return a grid's images as they stood at one moment: the grid's, else that of the experiment's first runs, or now.

    So whoever goes on with an experiment, or joins it from another machine, has the data that it began with.

    Args:
        data: the grid's.
        runs: those of the experiment, as many as there are.
        now_us: microseconds since the epoch.
    """
    if data.options.get(_KIND) != _KUDU or _SNAPSHOT in data.options:
        return data
    moment = min((run.snapshot_at for run in runs if run.snapshot_at is not None), default=now_us)
    return replace(data, options={**data.options, _SNAPSHOT: moment})


def moment_of(data: Data) -> int | None:
    """Return the moment of images that stand in a table, in microseconds since the epoch; None of others."""
    moment = data.options.get(_SNAPSHOT)
    return int(moment) if data.options.get(_KIND) == _KUDU and moment is not None else None
