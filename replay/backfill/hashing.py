"""Perceptual hashes of images that were stored without one.

Each image is decoded and measured as a worker does, with the model's way to see that classified it: so a hash is the
one that the image would have come with. Solr gets it before Kudu does, and Kudu's rows that have none are what is
looked at: a run that was ended at any point is gone on with by another one, and what is done twice is done once.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc

from flumen.interceptor import Batch, Context, ImageMessage, Limits, Preprocess, intercept, load_chain
from flumen.interceptor.chain import Decoder
from flumen.models.datasets.source import EXAMPLES, UNDECODABLE, UNREADABLE
from flumen.models.unloaded import Unloaded
from flumen.replay.errors import BadQuery
from flumen.replay.images.stored import ORIGINAL, Moment
from flumen.replay.images.tables import ScannedTables
from flumen.stores.hashes import Hashed, HashSink
from flumen.stores.kudu import Predicate

HASH = "perceptual_hash"
NOTHING_TO_SEE = "of one shade, or of fewer than 8 pixels a side"
MOVING = "that were replaced or deleted meanwhile"

_LEAST_SIDE = 8
_TOLD = ("width", "height", "luminance_std")
"""Columns that say that there is no hash, without a look at the image."""
_MADE_BY = ("model", "model_version")
_AT_ONCE = 200
_CHAIN = ("decode", "statistics")
_ANY = Preprocess(28, 28)

PreprocessOf = Callable[[str, int], Preprocess | None]
"""How a model sees images, by its name and version; None where it is not known."""


@dataclass(slots=True)
class Report:
    """What came of images without a hash: how many were looked at, how many got one, and the others by reason.

    `examples`: for each reason some ids, with what was said of them.
    """

    images: int = 0
    hashed: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def leave_out(self, reason: str, image_id: str, why: str = "") -> None:
        """Count an image that gets no hash."""
        self.left_out[reason] += 1
        named = self.examples.setdefault(reason, [])
        if len(named) < EXAMPLES:
            named.append((image_id, why))


class Backfill:
    """One pass over the images that have no hash, in bounded memory. It belongs to one thread.

    Args:
        tables: Kudu.
        sinks: where hashes go, connected, Kudu's last: its rows say what is still to do.
        preprocess_of: how models see images.
        limits: of decoding.
        decoder: a guarded one: these images are as anybody made them.
        report: called with how many more images have been looked at.

    Raises:
        BadQuery: the images have no hashes, or are not there themselves.
    """

    def __init__(
        self,
        tables: ScannedTables,
        sinks: Sequence[HashSink],
        preprocess_of: PreprocessOf,
        limits: Limits,
        decoder: Decoder,
        report: Callable[[int], None] = lambda _: None,
    ) -> None:
        names = tables.schema("images").names
        for name in ("id", HASH, *ORIGINAL):
            if name not in names:
                raise BadQuery(
                    f"the images have no column {name!r}, without which there are no hashes to compute. "
                    "`flumen tables migrate` adds what is missing"
                )
        self._told = [name for name in _TOLD if name in names]
        self._made_by = _MADE_BY if set(_MADE_BY) <= set(names) else ()
        self._moment = Moment(tables, time.time_ns() // 1000, 1)
        self._sinks = sinks
        self._preprocess_of = preprocess_of
        self._limits = limits
        self._decoder = decoder
        self._chain = load_chain(_CHAIN)
        self._tell = report

    def run(
        self, begin: Callable[[int], None] = lambda _: None, pause: Callable[[], None] = lambda: None
    ) -> Report:
        """Give hashes to all images that have none.

        `begin` is called with how many they are, `pause` between some and the next. Which they are is noted in a
        temporary file before the first is decoded: a scan of Kudu's ends where nobody reads on for a minute.

        Raises:
            StoreError: a store cannot be read or written. What was done by then stays.
            DecoderUnavailable: there is no process to decode in.
        """
        found = Report()
        with tempfile.TemporaryFile() as file:
            begin(self._note(file))
            for batch in _noted(file):
                for start in range(0, batch.num_rows, _AT_ONCE):
                    some = batch.slice(start, _AT_ONCE)
                    for seen_by, alike in self._by_view(some):
                        self._hash(alike, seen_by, found)
                    found.images += some.num_rows
                    self._tell(some.num_rows)
                    pause()
        return found

    def _note(self, file: IO[bytes]) -> int:
        """Write the ids of the images that may get a hash, and who classified them; return how many they are."""
        columns = ["id", *self._told, *self._made_by]
        schema = self._moment.tables.schema("images")
        count = 0
        with pa.ipc.new_stream(file, pa.schema([schema.field(name) for name in columns])) as noted:
            for batch in self._moment.rows("images", columns, [Predicate(HASH, "is null")]):
                rows = batch.filter(self._may_have(batch))
                noted.write_batch(rows.select(columns))
                count += rows.num_rows
        return count

    def _may_have(self, rows: pa.RecordBatch) -> pa.BooleanArray:
        """Say of each row whether what is told of its image leaves a hash possible; what is not told does."""
        may = pa.array([True] * rows.num_rows, pa.bool_())
        for name in self._told:
            column = rows.column(name)
            good = pc.greater(column, 0) if name == "luminance_std" else pc.greater_equal(column, _LEAST_SIDE)
            may = pc.and_(may, pc.fill_null(good, True))
        return may

    def _by_view(self, rows: pa.RecordBatch) -> Iterator[tuple[Preprocess, pa.RecordBatch]]:
        """Yield the rows whose models see images in the same way, and that way."""
        ways: dict[Preprocess, list[int]] = {}
        made_by: Sequence[Sequence[object]] = [rows.column(name).to_pylist() for name in self._made_by]
        for row in range(rows.num_rows):
            model, version = (column[row] for column in made_by) if made_by else (None, None)
            known = isinstance(model, str) and isinstance(version, int)
            way = self._preprocess_of(model, version) if known else None  # type: ignore[arg-type]
            ways.setdefault(way or _ANY, []).append(row)
        for way, some in ways.items():
            yield way, rows.take(pa.array(some, pa.int32()))

    def _hash(self, rows: pa.RecordBatch, preprocess: Preprocess, found: Report) -> None:
        ids = rows.column("id").to_pylist()
        missing = set(ids)
        for stored in list(self._moment.rows_of("images", ["id", *ORIGINAL], ids)):
            columns = (stored.column(name).to_pylist() for name in ("id", "sha256"))
            sums = dict(zip(*columns, strict=True))
            missing -= sums.keys()
            for contents in self._moment.originals(stored):
                self._hash_contents(contents, sums, preprocess, found)
        for image_id in missing:
            found.leave_out(MOVING, image_id)

    def _hash_contents(
        self,
        contents: Mapping[str, bytes | str],
        sums: Mapping[str, str | None],
        preprocess: Preprocess,
        found: Report,
    ) -> None:
        read: dict[str, bytes] = {}
        for image_id, content in contents.items():
            if isinstance(content, bytes):
                read[image_id] = content
            else:
                found.leave_out(UNREADABLE, image_id, content)
        hashes: dict[str, Hashed] = {}
        for image_id, value in self._measured(read, preprocess, found).items():
            if value is None:
                found.leave_out(NOTHING_TO_SEE, image_id)
            else:
                hashes[image_id] = Hashed(value, sums[image_id])
        found.hashed += self._keep(hashes, found)

    def _measured(
        self, contents: Mapping[str, bytes], preprocess: Preprocess, found: Report
    ) -> dict[str, int | None]:
        """Return the hash of each image that can be decoded, None of one in which there is nothing to see."""
        batch = Batch([ImageMessage(image_id, content, 0) for image_id, content in contents.items()])
        context = Context(Unloaded(preprocess), 0, self._limits, decoder=self._decoder)
        done = intercept(batch, context, self._chain)
        for reject in done.errs:
            found.leave_out(UNDECODABLE, reject.image.id, str(reject.error))
        values = done.oks.columns[HASH] if len(done.oks) else []
        ids = [image.id for image in done.oks.images]
        return {
            image_id: None if value is None else int(value)
            for image_id, value in zip(ids, values, strict=True)
        }

    def _keep(self, hashes: Mapping[str, Hashed], found: Report) -> int:
        if not hashes:
            return 0
        kept = 0
        for sink in self._sinks:
            kept = sink.set_hashes(hashes)
        found.left_out[MOVING] += len(hashes) - kept
        return kept


def _noted(file: IO[bytes]) -> Iterator[pa.RecordBatch]:
    file.seek(0)
    with pa.ipc.open_stream(file) as noted:
        yield from noted
