"""Images that Kudu holds, put to a model: the same pixels and the same answers as on the live path, bit for bit."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.classifier import Classifier
from flumen.interceptor.classify import answers_of
from flumen.interceptor.preprocess import to_tensor
from flumen.models.datasets.pictures import Pictures
from flumen.models.datasets.source import Skip
from flumen.replay.errors import BadQuery
from flumen.replay.images.chosen import chosen_rows
from flumen.replay.images.row_pixels import RowPixels
from flumen.replay.images.seen import VIEW, PictureOf
from flumen.replay.images.stored import ORIGINAL, Moment
from flumen.replay.images.tables import ScannedTables
from flumen.replay.scoring.sample import Sample, groups
from flumen.replay.scoring.scored import Scored, answer_columns
from flumen.replay.sql.where import Condition
from flumen.stores.kudu import Predicate, TokenRows

DEFAULT_THREADS = 2
_TIME = "ingested_at"
NO_ANSWER = "to which the model gives no answer"
"""Reason of a `Skip`, beside those of `flumen.models.datasets.source`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Which images.

    `where` is a condition in the language of `flumen sql`, empty for all. `since_us`: those alone that arrived then or
    later (`ingested_at`), microseconds since the epoch. `sample`: so many of them, by the hash of their ids.
    """

    where: str = ""
    since_us: int | None = None
    sample: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be read: tokens of scans, all as of `snapshot_us`, and how many rows they give together.

    `answered` counts these rows by the model and the version that they hold an answer of; None where they hold none.
    `newest_us`: when the newest of all that were to be chosen from had arrived; None where that is not known.
    """

    snapshot_us: int
    tokens: tuple[bytes, ...]
    rows: int
    answered: Mapping[tuple[str | None, int | None], int]
    newest_us: int | None = None


Passed = Callable[[pa.RecordBatch], NDArray[np.bool_]]
"""Says of each row whether a model is not to be asked about it; it sees the id and the columns that are wanted."""


class StoredImages:
    """The images that a choice names, as they were at one moment. One thread uses it; close it.

    Pixels come from what a classifier saw, where `picture_of` says of its model that it sees images as `preprocess` has
    them; else from the original, decoded as a worker does and within `limits`. Without it, all are decoded.

    Args:
        tables: a `KuduReader`.
        choice: which images.
        preprocess: how the models see them that are asked.
        columns: those of `images` that are wanted beside the id.
        limits: of decoding.
        picture_of: `Preprocess.picture` by the name and version of a model; see
            `flumen.replay.images.seen.known_pictures`.
        threads: so many read at once, and so many processes decode.
        snapshot_us: another moment than now: microseconds since the epoch, by the servers' clocks.

    Raises:
        BadQuery: the condition is none, or a column is not there.
        StoreError: Kudu cannot be read.
    """

    def __init__(
        self,
        tables: ScannedTables,
        choice: Choice,
        preprocess: Preprocess,
        columns: Sequence[str] = (),
        *,
        limits: Limits | None = None,
        picture_of: PictureOf | None = None,
        threads: int = DEFAULT_THREADS,
        snapshot_us: int | None = None,
    ) -> None:
        schema = tables.schema("images")
        self._choice = choice
        self._wanted = tuple(dict.fromkeys(["id", *columns]))
        since = [_TIME] if choice.since_us is not None else []
        for name in (*self._wanted, *ORIGINAL, *since):
            if name not in schema.names:
                raise BadQuery(f"the images have no column {name!r}; they have {', '.join(schema.names)}")
        if choice.sample is not None and choice.sample < 1:
            raise BadQuery(f"a sample of {choice.sample} images is none; give 1 or more")
        self._condition = Condition(choice.where, schema) if choice.where else None
        self._moment = Moment(tables, snapshot_us or time.time_ns() // 1000, threads)
        self._time = [_TIME] if _TIME in schema.names else []
        self._answered_by = [name for name in ("model", "model_version") if name in schema.names]
        self._pictures = Pictures(preprocess, limits, processes=threads)
        has_views = picture_of is not None and set(VIEW) <= set(schema.names)
        self._pixels = RowPixels(self._moment, preprocess, self._pictures, picture_of if has_views else None)
        read = self._condition.columns if self._condition else ()
        beside = VIEW if has_views else ORIGINAL
        self._columns = tuple(dict.fromkeys([*self._wanted, *beside, *read]))

    @property
    def moment(self) -> Moment:
        """The moment: the tables as they were then."""
        return self._moment

    @property
    def snapshot_us(self) -> int:
        """The moment, microseconds since the epoch."""
        return self._moment.snapshot_us

    def plan(self) -> Plan:
        """Count the images that are chosen, draw the sample, and cut what is to be read into tokens.

        Raises:
            BadQuery: the condition cannot be computed.
            StoreError: Kudu cannot be read.
        """
        sample = None if self._choice.sample is None else Sample(self._choice.sample)
        count = 0
        answered: dict[tuple[str | None, int | None], int] = {}
        newest: int | None = None
        read = self._condition.columns if self._condition else ()
        columns = tuple(dict.fromkeys(["id", *self._answered_by, *self._time, *read]))
        for given in self._scan(columns, self._tokens(columns, self._predicates)):
            if given.rows is None:
                continue
            count += given.rows.num_rows
            if sample is not None:
                sample.show(given.rows.column("id").to_pylist())
            _count_answered(given.rows, answered)
            newest = _newest(given.rows, newest)
        if sample is None:
            tokens = self._tokens(self._columns, self._predicates)
            return Plan(self.snapshot_us, tuple(tokens.values()), count, answered, newest)
        drawn = sample.ids
        named = [
            token
            for group in groups(drawn)
            for token in self._tokens(self._columns, [Predicate("id", "in", group)]).values()
        ]
        return Plan(self.snapshot_us, tuple(named), len(drawn), answered, newest)

    def scored(
        self, tokens: Mapping[int, bytes], model: Classifier, passed: Passed | None = None
    ) -> Generator[Scored, None, None]:
        """Read the rows of these tokens of a plan, each under a number, and put them to a model.

        Of those that `passed` names, nothing is decoded and nothing asked.

        Raises:
            BadQuery: the condition cannot be computed.
            StoreError: Kudu cannot be read.
            Exception: the model is to blame; what it raises.
        """
        with closing(self._scan(self._columns, tokens)) as reading:
            for given in reading:
                if given.rows is None:
                    yield self._nothing(model, ended=given.token)
                    continue
                for piece in self._pixels.pieces(given.rows):
                    rows = piece
                    if passed is not None:
                        rows = piece.filter(pa.array(~passed(piece)))
                    scored = self.answered(rows, model) if rows.num_rows else self._nothing(model)
                    yield replace(scored, passed=piece.num_rows - rows.num_rows)

    def pieces(self, tokens: Mapping[int, bytes]) -> Generator[pa.RecordBatch, None, None]:
        """Read the rows of these tokens, so many at once as their pixels allow, to put them to several models.

        Beside the columns that are wanted, they have those that pixels come from.

        Raises:
            BadQuery: the condition cannot be computed.
            StoreError: Kudu cannot be read.
        """
        with closing(self._scan(self._columns, tokens)) as reading:
            for given in reading:
                if given.rows is not None:
                    yield from self._pixels.pieces(given.rows)

    def answered(self, rows: pa.RecordBatch, model: Classifier) -> Scored:
        """Put some rows of `pieces` to a model that sees images as is said here.

        Raises:
            StoreError: Kudu cannot be read.
            Exception: the model is to blame; what it raises.
        """
        pixels, kept, skipped = self._pixels.of(rows)
        rows = rows.select(self._wanted)
        if not kept.all():
            rows = rows.filter(pa.array(kept))
        (found, flaws), embeddings = answers_of(to_tensor(pixels, model.preprocess), model)
        if flaws:
            ids = rows.column("id").to_pylist()
            skipped = [*skipped, *(Skip(NO_ANSWER, ids[row], flaw) for row, flaw in flaws.items())]
            good = np.ones(len(found), np.bool_)
            good[list(flaws)] = False
            rows, found, pixels = rows.filter(pa.array(good)), found[good], pixels[good]
            embeddings = None if embeddings is None else embeddings[good]
        return Scored(rows, answer_columns(found, embeddings, model), pixels, skipped)

    def seen(self, ids: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
        """Return the pixels of these images by id, as a model sees them; what has none is left out.

        Raises:
            StoreError: Kudu cannot be read.
        """
        found: dict[str, NDArray[np.uint8]] = {}
        for group in groups(sorted(ids)):
            for rows in self.pieces(self._tokens(self._columns, [Predicate("id", "in", group)])):
                pixels, kept, _ = self._pixels.of(rows)
                names = rows.filter(pa.array(kept)).column("id").to_pylist()
                found |= dict(zip(names, pixels, strict=True))
        return found

    def close(self) -> None:
        """End the processes that decode. A second call does nothing."""
        self._pictures.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _predicates(self) -> Sequence[Predicate]:
        tested = list(self._condition.predicates) if self._condition else []
        since_us = self._choice.since_us
        return tested if since_us is None else [Predicate(_TIME, ">=", (since_us,)), *tested]

    def _tokens(self, columns: Sequence[str], predicates: Sequence[Predicate]) -> dict[int, bytes]:
        tokens = self._moment.tables.scan_tokens("images", columns, predicates, self.snapshot_us)
        return dict(enumerate(tokens))

    def _scan(self, columns: Sequence[str], tokens: Mapping[int, bytes]) -> Generator[TokenRows, None, None]:
        reading = self._moment.tables.read_tokens("images", columns, tokens, self._moment.threads)
        with closing(reading):
            yield from chosen_rows(reading, self._condition)

    def _nothing(self, model: Classifier, ended: int | None = None) -> Scored:
        schema = self._moment.tables.schema("images")
        rows = pa.RecordBatch.from_pylist([], pa.schema([schema.field(name) for name in self._wanted]))
        pixels = np.empty((0, 0, 0), np.uint8)
        none = np.empty((0, len(model.labels)), np.float32)
        return Scored(rows, answer_columns(none, None, model), pixels, ended=ended)


def _count_answered(rows: pa.RecordBatch, answered: dict[tuple[str | None, int | None], int]) -> None:
    if not {"model", "model_version"} <= set(rows.schema.names):
        return
    counts = pa.Table.from_batches([rows]).group_by(["model", "model_version"]).aggregate([([], "count_all")])
    for row in counts.to_pylist():
        key = (row["model"], row["model_version"])
        answered[key] = answered.get(key, 0) + row["count_all"]


def _newest(rows: pa.RecordBatch, newest: int | None) -> int | None:
    if _TIME not in rows.schema.names:
        return newest
    latest = pc.max(rows.column(_TIME).cast(pa.int64())).as_py()
    return newest if latest is None else max(latest, newest or 0)
