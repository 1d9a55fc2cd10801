"""One scan of the columns that are compared, counted by windows of time as it passes."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flumen.models.evaluation.calibration import Reliability
from flumen.replay.drift.counting import Binned, Counted, Counts, Numbers, Rows, Texts
from flumen.replay.drift.reference import Reference
from flumen.replay.errors import BadQuery
from flumen.replay.images.stored import Moment
from flumen.replay.images.tables import ScannedTables
from flumen.replay.sql.where import Condition
from flumen.stores.kudu import Predicate

MOST_WINDOWS = 400
BLOCK_ROWS = 32_768
"""Rows that are counted at once: what is done for each block costs as much as some thousands of rows."""

TIME = "ingested_at"
_OF_ANSWERS = ("label", "confidence")
_PERFORMANCE = ("prediction", "knownlabel", "confidence")
_CATEGORIES = frozenset({"knownlabel"})
_NOT_COMPARED = frozenset(
    {
        *("id", "name", "sha256", "title", "model", "model_version", "control_revision", "prediction"),
        *("kafka_partition", "kafka_offset", "luminance_histogram", "palette", "dominant_colors"),
        *("keywords", "creator", "metadata_errors"),
    }
)
"""What tells one image from another, says who answered, or is a list or JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Which rows are read, and how they are put into windows.

    `model` and `version`: who answered. `width_us`: of a window, whose bounds are multiples of it since the epoch.
    `since_us`: windows begin with the one that holds it. `where`: a condition in the language of `flumen sql`.
    `calibration`: how often the model was right by its confidence, where that was measured.
    """

    model: str
    version: int
    width_us: int
    since_us: int | None = None
    where: str = ""
    calibration: Reliability | None = None


@dataclass(slots=True)
class Window:
    """What was counted of a window beside its columns; `start` is microseconds since the epoch, None of the reference.

    `confident` of the images have a confidence; `sure` sums up how probable each of these is to be right, `variance`
    the variance of that. Of the `labelled` images `right` were answered rightly.
    """

    start: int | None
    images: int = 0
    confident: int = 0
    sure: float = 0.0
    variance: float = 0.0
    labelled: int = 0
    right: int = 0


@dataclass(slots=True)
class Counting:
    """What a scan has counted: the first window is the reference, whether or not it is of a time."""

    windows: list[Window] = field(default_factory=lambda: [Window(None)])
    columns: dict[str, Counts] = field(default_factory=dict)
    rows: int = 0

    def counted(self) -> Mapping[str, Counted]:
        """Return each column's counts by window."""
        return {name: column.counted(len(self.windows)) for name, column in self.columns.items()}


def scan(
    tables: ScannedTables,
    scope: Scope,
    reference: Reference,
    threads: int = 2,
    report: Callable[[int], None] = lambda _: None,
) -> Counting:
    """Count the images of a scope, as they are now, in one scan of the columns that are compared.

    Args:
        tables: a `KuduReader`.
        scope: which rows, in which windows.
        reference: what is to be compared with it.
        threads: so many read at once.
        report: called with how many rows have been read.

    Raises:
        BadQuery: the condition is none, or there are too many windows.
        StoreError: Kudu cannot be read.
    """
    schema = tables.schema("images")
    condition = Condition(scope.where, schema) if scope.where else None
    columns = _compared(schema, reference)
    counting = Counting(columns=dict(columns))
    there = [name for name in _PERFORMANCE if name in schema.names]
    read = tuple(dict.fromkeys([TIME, *columns, *there, *(condition.columns if condition else ())]))
    moment = Moment(tables, time.time_ns() // 1000, threads)
    numbers: dict[int, int] = {}
    for block in _blocks(moment.rows("images", read, _predicates(scope, reference, condition)), read):
        for rows in condition.kept([block]) if condition else [block]:
            _count(rows, _windows_of(rows, scope, reference, counting, numbers), scope, counting)
        counting.rows += block.num_rows
        report(counting.rows)
    return counting


def _compared(schema: pa.Schema, reference: Reference) -> Mapping[str, Counts]:
    """Return what counts each column that is compared: all that mean something, or those that have a profile."""
    if reference.span is None:
        return {
            name: Texts(profile.values) if profile.edges is None else Binned(profile.edges)
            for name, profile in reference.profiles.items()
            if name in schema.names
        }
    first = [name for name in _OF_ANSWERS if name in schema.names]
    found: dict[str, Counts] = {}
    for name in dict.fromkeys([*first, *schema.names]):
        kind = schema.field(name).type
        if name in _NOT_COMPARED:
            continue
        if name in _CATEGORIES or pa.types.is_string(kind) or pa.types.is_boolean(kind):
            found[name] = Texts()
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            found[name] = Numbers()
    return found


def _predicates(scope: Scope, reference: Reference, condition: Condition | None) -> list[Predicate]:
    found = [Predicate("model", "=", (scope.model,)), Predicate("model_version", "=", (scope.version,))]
    if scope.since_us is not None:
        since = scope.since_us // scope.width_us * scope.width_us
        first = min(since, reference.span.start) if reference.span else since
        found.append(Predicate(TIME, ">=", (first,)))
    return [*found, *(condition.predicates if condition else ())]


def _blocks(batches: Iterator[pa.RecordBatch], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield batches put together to blocks of about `BLOCK_ROWS`."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch.select(list(columns)))
        rows += batch.num_rows
        if rows >= BLOCK_ROWS:
            yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()
            waiting, rows = [], 0
    if rows:
        yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()


def _windows_of(
    rows: pa.RecordBatch, scope: Scope, reference: Reference, counting: Counting, numbers: dict[int, int]
) -> Rows:
    """Return the number of the window of each row, which is made where it is new; -1 where it is of none.

    `numbers` has those that are known by their place on the time line.
    """
    arrived = rows.column(TIME).view(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    places = arrived // scope.width_us
    distinct, at = np.unique(places, return_inverse=True)
    since = -1 if scope.since_us is None else scope.since_us // scope.width_us
    span = reference.span
    found = np.full(len(distinct), -1, np.intp)
    in_span = (arrived >= span.start) & (arrived < span.end) if span else np.zeros(len(arrived), np.bool_)
    open_places = set(places[~in_span].tolist())
    for number, place in enumerate(distinct.tolist()):
        if place < max(since, 0) or place not in open_places:
            continue
        if place not in numbers:
            if len(numbers) >= MOST_WINDOWS:
                raise BadQuery(
                    f"that makes more than {MOST_WINDOWS} windows: take longer ones, as by --window 1d, or begin "
                    "later, by --since"
                )
            numbers[place] = len(counting.windows)
            counting.windows.append(Window(place * scope.width_us))
        found[number] = numbers[place]
    return np.asarray(np.where(in_span, 0, found[at]), np.intp)


def _count(rows: pa.RecordBatch, windows: Rows, scope: Scope, counting: Counting) -> None:
    if (windows < 0).any():
        kept = windows >= 0
        rows, windows = rows.filter(pa.array(kept)), windows[kept]
    if not rows.num_rows:
        return
    for name, column in counting.columns.items():
        column.add(windows, rows.column(name))
    many = len(counting.windows)
    images = np.bincount(windows, minlength=many)
    for window, more in zip(counting.windows, images.tolist(), strict=True):
        window.images += more
    if set(_PERFORMANCE) <= set(rows.schema.names):
        _count_performance(rows, windows, scope, counting)


def _count_performance(rows: pa.RecordBatch, windows: Rows, scope: Scope, counting: Counting) -> None:
    """Sum up how probable answers are to be right, and how many are known to be."""
    confidence = rows.column("confidence").cast(pa.float64()).to_numpy(zero_copy_only=False)
    confident = ~np.isnan(confidence)
    sure = np.where(confident, _calibrated(np.clip(confidence, 0, 1), scope.calibration), 0.0)
    known = rows.column("knownlabel")
    labelled = known.is_valid().to_numpy(zero_copy_only=False)
    predicted = rows.column("prediction").fill_null(-2).to_numpy(zero_copy_only=False)
    right = labelled & (known.fill_null(-1).to_numpy(zero_copy_only=False) == predicted)
    many = len(counting.windows)
    summed = (confident, sure, sure * (1 - sure), labelled, right)
    sums = [np.bincount(windows, weights, many).tolist() for weights in summed]
    for window, *more in zip(counting.windows, *sums, strict=True):
        window.confident += round(more[0])
        window.sure += more[1]
        window.variance += more[2]
        window.labelled += round(more[3])
        window.right += round(more[4])


def _calibrated(confidence: NDArray[np.float64], calibration: Reliability | None) -> NDArray[np.float64]:
    """Return how often the model was right where it was as sure, by bins; its confidence where that is not known.

    Zadrozny, B. and Elkan, C. (2001): Obtaining calibrated probability estimates from decision trees and naive Bayesian
    classifiers. ICML.
    """
    if calibration is None or not calibration.bins:
        return confidence
    ends = np.array([one.high for one in calibration.bins[:-1]])
    return np.array([one.accuracy for one in calibration.bins])[
        np.searchsorted(ends, confidence, side="left")
    ]
