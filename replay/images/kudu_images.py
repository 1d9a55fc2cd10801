"""Images that stand in Kudu, as a source of labelled images: chosen by a condition, read in parallel, at one moment."""

import base64
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from flumen.interceptor import Preprocess
from flumen.models.datasets.files import Decoding
from flumen.models.datasets.source import ImageBatch
from flumen.models.errors import DatasetInvalid
from flumen.replay.errors import BadQuery
from flumen.replay.images.chosen import chosen_rows
from flumen.replay.images.image_rows import RowReader
from flumen.replay.images.row_pixels import RowPixels
from flumen.replay.images.seen import VIEW, PictureOf
from flumen.replay.images.stored import ORIGINAL, Moment
from flumen.replay.images.tables import ScannedTables
from flumen.replay.sql.where import Condition
from flumen.stores.kudu import Predicate

DEFAULT_THREADS = 2
_END_OF_TIME_US = 2**51
"""Kudu counts time in 63 bits, of which it keeps the last 12 for itself: until 2041."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which images, and what is said of them.

    `where` is a condition in the language of `flumen sql`, empty for all. `label` is the column of the class's number;
    rows that have none are not read. `group` is the column of which all rows of one value stay on one side of a split.
    `labels` names the classes, position = number; empty where they are called by their numbers.
    """

    where: str = ""
    label: str = "knownlabel"
    group: str | None = None
    labels: tuple[str, ...] = ()


class KuduImages:
    """`flumen.models.datasets.source.ImageSource` over the table `images`, as it was when this was made.

    Pixels come from what a classifier saw, where `picture_of` says of its model that it sees images as `decoding` has
    them; else from the original, decoded as a worker does. Without it, all are decoded.

    Args:
        tables: a `KuduReader`.
        selection: which images.
        decoding: their size, and how they come to it.
        picture_of: `Preprocess.picture` by the name and version of a model.
        threads: so many read at once.
        snapshot_us: another moment than now: microseconds since the epoch, by the servers' clocks.
        place: tells the tables from those of another Kudu.

    Raises:
        BadQuery: the condition is none, or a column is not there, or not of the kind that is needed.
        DatasetInvalid: the moment is none.
        StoreError: Kudu cannot be read.
    """

    def __init__(
        self,
        tables: ScannedTables,
        selection: Selection,
        decoding: Decoding,
        picture_of: PictureOf | None = None,
        threads: int = DEFAULT_THREADS,
        snapshot_us: int | None = None,
        place: str = "",
    ) -> None:
        if snapshot_us is not None and not 0 < snapshot_us < _END_OF_TIME_US:
            raise DatasetInvalid(
                f"{snapshot_us} is no moment that Kudu knows: give it in microseconds since 1970, such as "
                f"{time.time_ns() // 1000}"
            )
        self._place = place
        self._selection = selection
        self._decoding = decoding
        self._moment = Moment(tables, snapshot_us or time.time_ns() // 1000, threads)
        schema = tables.schema("images")
        needed = ["id", selection.label, *([selection.group] if selection.group else []), *ORIGINAL]
        for name in needed:
            if name not in schema.names:
                raise BadQuery(f"the images have no column {name!r}; they have {', '.join(schema.names)}")
        if not pa.types.is_integer(schema.field(selection.label).type):
            raise BadQuery(
                f"the column {selection.label!r} holds no whole numbers: a label is a class's number"
            )
        if selection.group and pa.types.is_binary(schema.field(selection.group).type):
            raise BadQuery(
                f"the column {selection.group!r} holds bytes: a group is a text, a number or a time"
            )
        self._condition = Condition(selection.where, schema) if selection.where else None
        # What was seen at the model's size does not tell whether the image is of that size.
        has_views = decoding.any_size and set(VIEW) <= set(schema.names)
        self._picture_of = picture_of if has_views else None

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, if they were given."""
        return self._selection.labels

    @property
    def text(self) -> str:
        """What was selected."""
        return f"Kudu where {self._selection.where}" if self._selection.where else "Kudu"

    @property
    def selection(self) -> Mapping[str, Any]:
        """Condition and columns, and whether images are resized."""
        chosen = self._selection
        return {
            "where": chosen.where,
            "label": chosen.label,
            "group": chosen.group,
            "any_size": self._decoding.any_size,
        }

    @property
    def state(self) -> str:
        """Which tables, the moment, and how images are decoded."""
        return f"kudu {self._place} {self._moment.snapshot_us} {self._decoding.state}"

    @property
    def preprocess(self) -> Preprocess:
        """The size at which images are given."""
        return self._decoding.preprocess

    def scan(self, position: str = "") -> Iterator[ImageBatch]:
        """Read the images. See `flumen.models.datasets.source.ImageSource.scan`; a part is a token of the scan.

        Before the first batch come empty ones that name the rows without a label; behind the last batch of each token
        comes one whose position has that token for done.
        """
        predicates = [Predicate(self._selection.label, "is not null"), *self._tested_by_kudu]
        columns = self._columns()
        tables, snapshot_us = self._moment.tables, self._moment.snapshot_us
        is_whole = not position
        if position:
            tokens = _tokens_at(position, snapshot_us)
        else:
            tokens = dict(enumerate(tables.scan_tokens("images", columns, predicates, snapshot_us)))
        position = _position(tokens, snapshot_us)
        with (
            self._decoding.pictures() as pictures,
            closing(tables.read_tokens("images", columns, tokens, self._moment.threads)) as reading,
        ):
            pixels = RowPixels(self._moment, self._decoding.preprocess, pictures, self._picture_of)
            reader = RowReader(self._selection, pixels)
            if is_whole:
                yield from (reader.unlabelled(rows, position) for rows in self._unlabelled())
            for given in chosen_rows(reading, self._condition):
                if given.rows is not None:
                    yield from reader.batches(given.rows, position)
                    continue
                tokens = {number: token for number, token in tokens.items() if number != given.token}
                position = _position(tokens, snapshot_us)
                yield reader.nothing(position)

    @property
    def _tested_by_kudu(self) -> Sequence[Predicate]:
        return self._condition.predicates if self._condition else ()

    def _unlabelled(self) -> Iterator[pa.RecordBatch]:
        """Read the rows that were chosen and have no label: their ids, and what the condition reads."""
        label = self._selection.label
        if any(each.column == label and each.operator != "is null" for each in self._tested_by_kudu):
            return
        columns = tuple(dict.fromkeys(["id", *(self._condition.columns if self._condition else ())]))
        without = [Predicate(label, "is null"), *self._tested_by_kudu]
        for rows in self._moment.rows("images", columns, without):
            kept = self._condition.kept([rows]) if self._condition else [rows]
            yield from (chosen for chosen in kept if chosen.num_rows)

    def _columns(self) -> Sequence[str]:
        chosen = self._selection
        wanted = ["id", chosen.label, *([chosen.group] if chosen.group else [])]
        read = self._condition.columns if self._condition else ()
        return tuple(dict.fromkeys([*wanted, *(VIEW if self._picture_of else ORIGINAL), *read]))


def _position(tokens: Mapping[int, bytes], snapshot_us: int) -> str:
    """Return what is left of a scan, as text."""
    left = {str(number): base64.b64encode(token).decode() for number, token in tokens.items()}
    return json.dumps({"snapshot_us": snapshot_us, "tokens": left})


def _tokens_at(position: str, snapshot_us: int) -> dict[int, bytes]:
    try:
        told = json.loads(position)
        if told["snapshot_us"] != snapshot_us:
            raise DatasetInvalid(
                f"this position is of the images as they were at {told['snapshot_us']}, and these are read as they "
                f"were at {snapshot_us}: give that moment as the snapshot"
            )
        return {int(number): base64.b64decode(token) for number, token in told["tokens"].items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DatasetInvalid(f"{position!r} is no position of this source") from error
