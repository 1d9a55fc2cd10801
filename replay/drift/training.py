"""What stood in the rows of the images that a model has learnt from, as its manifest keeps it for `flumen drift`."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flumen.models.datasets.split import split_hashes
from flumen.models.manifest import ColumnProfile
from flumen.replay.drift.counting import Counts, Numbers, Texts
from flumen.replay.drift.scanning import OF_ANSWERS, counts_of
from flumen.replay.images.stored import Moment
from flumen.replay.sql.where import Condition

MOST_BINS = 50
"""Of numbers."""
MOST_VALUES = 200
"""Of texts: a column with more is not kept."""

_IDS_AT_ONCE = 65_536


def column_profiles(moment: Moment, ids: Sequence[str], where: str = "") -> dict[str, ColumnProfile]:
    """Return how often which values stand in the rows of images, of each column that `flumen drift` compares.

    But for those of answers, which are another model's. Read in one scan, in 8 bytes of memory an image.

    Args:
        moment: the tables.
        ids: of the images.
        where: a condition that holds for all of them, so that fewer rows are read.

    Raises:
        BadQuery: the condition is none.
        StoreError: Kudu cannot be read.
    """
    schema = moment.tables.schema("images")
    condition = Condition(where, schema) if where else None
    columns = {name: counts for name, counts in counts_of(schema).items() if name not in OF_ANSWERS}
    wanted = np.sort(np.concatenate([np.empty(0, np.uint64), *_hashes(ids)]))
    predicates = condition.predicates if condition else ()
    images = 0
    for rows in moment.rows("images", ("id", *columns), predicates):
        hashes = split_hashes(rows.column("id").to_pylist())
        places = np.minimum(np.searchsorted(wanted, hashes), max(len(wanted) - 1, 0))
        chosen = rows.filter(pa.array(wanted[places] == hashes)) if len(wanted) else rows.slice(0, 0)
        images += chosen.num_rows
        first = np.zeros(chosen.num_rows, np.intp)
        for name, counts in columns.items():
            counts.add(first, chosen.column(name))
    return dict(_profiles(columns, images))


def _hashes(ids: Sequence[str]) -> Iterator[NDArray[np.uint64]]:
    for start in range(0, len(ids), _IDS_AT_ONCE):
        yield split_hashes(ids[start : start + _IDS_AT_ONCE])


def _profiles(columns: Mapping[str, Counts], images: int) -> Iterator[tuple[str, ColumnProfile]]:
    for name, column in columns.items():
        counted = column.counted(1)
        missing = int(counted.counts[0, 0])
        if missing == images:
            continue
        if isinstance(column, Numbers):
            starts, counts = column.bins(MOST_BINS)
            yield name, ColumnProfile(tuple(counts), missing, starts=tuple(starts))
        elif isinstance(column, Texts) and not counted.others and len(counted.names) <= MOST_VALUES + 1:
            found = sorted(
                zip(counted.names, counted.counts[0, 1:].tolist(), strict=True),
                key=lambda each: (-each[1], each[0]),
            )
            values, many = zip(*(each for each in found if each[1]), strict=True)
            yield name, ColumnProfile(tuple(many), missing, values=tuple(values))
