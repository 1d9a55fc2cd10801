"""`python -m bench.datasets`: reading a data set out of Kudu, against a bare scan of the same columns.

Digits of 28x28 pixels, as a worker stores them, under ids of their own. Both read by the same tokens, threads and
columns, in turns; the first turn warms up. Then an epoch over the arrays that come of it.
"""

import argparse
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import numpy as np
from rich.console import Console

from bench.machine import describe
from bench.setting import source_digits
from bench.tables import make_console, show_table
from flumen.interceptor import Batch, Column, ImageMessage, Kind, Preprocess
from flumen.interceptor.pgm import netpbm_header
from flumen.models.datasets import ArrayCache, Batches, Decoding, Split
from flumen.replay.images import KuduImages, Selection
from flumen.replay.images.seen import VIEW
from flumen.replay.sql.where import Condition
from flumen.stack import local
from flumen.stack.kudu import ask
from flumen.stores.kudu import KuduOptions, KuduReader, KuduSink, Predicate
from flumen.stores.solr import STORE as SOLR

PREPROCESS = Preprocess(28, 28)
COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("source", Kind.STRING, ""),
    Column("sha256", Kind.STRING, ""),
    Column("knownlabel", Kind.INT32, ""),
    Column("image_as_pgm", Kind.BINARY, ""),
    Column("model", Kind.STRING, ""),
    Column("model_version", Kind.INT32, ""),
)
READ: tuple[str, ...] = ("id", "knownlabel", *VIEW)
_DISTINCT = 10_000
_WRITTEN_AT_ONCE = 2_000
_LOOK_EVERY = 10
"""Batches."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One reading of all images: `most` bytes of memory at any batch, `most_early` in its first half."""

    wall_s: float
    cpu_s: float
    most_early: int
    most: int


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it: each turn's rate by that of the bare scan beside it, and the data set's turns."""

    images: int
    ratios: tuple[float, ...]
    turns: tuple[Turn, ...]

    @property
    def ratio(self) -> float:
        """The median."""
        return statistics.median(self.ratios)

    @property
    def images_per_second(self) -> float:
        """The median."""
        return self.images / statistics.median(turn.wall_s for turn in self.turns)

    @property
    def most(self) -> int:
        """Bytes of this process's own memory, at most."""
        return max(turn.most for turn in self.turns)

    @property
    def grown(self) -> int:
        """By how many bytes the second half of a reading took more than its first, in the worst turn."""
        return max(turn.most - turn.most_early for turn in self.turns)


def main() -> None:
    options = _options()
    console = make_console()
    console.print(describe())
    with (
        tempfile.TemporaryDirectory(prefix="flumen-bench-") as home,
        own_kudu(Path(home), options.kudu) as masters,
    ):
        measure(console, options, Path(home), masters)


def measure(console: Console, options: argparse.Namespace, home: Path, masters: str) -> Found:
    """Fill a table, read it in turns, show what that took, and drop the table."""
    with _table(options.rows, masters) as kudu, closing(KuduReader(kudu)) as reader:
        before = _anonymous()
        ways = {"bare scan": _bare, "data set": _images}
        turns: dict[str, list[Turn]] = {name: [] for name in ways}
        for _ in range(options.turns + 1):
            for name, read in ways.items():
                turns[name].append(_measured(read, reader, options))
        rows = [_row_of(name, each[1:], options.rows, before) for name, each in turns.items()]
        arrays = list(_measured_arrays(reader, options, home))
    says = f"{options.rows:,} images, {options.threads} threads, medians of {options.turns}"
    columns = ("what", "images/s", "CPU us an image, servers not counted", "MiB more than before, at most")
    show_table(console, "Out of Kudu", says, columns, [*rows, *arrays])
    bare, images = (tuple(turns[name][1:]) for name in ways)
    ratios = tuple(one.wall_s / other.wall_s for one, other in zip(bare, images, strict=True))
    found = Found(options.rows, ratios, images)
    console.print(
        f"data set, of its own bare scan: [bold]{found.ratio:.2f}[/] ({min(ratios):.2f} to {max(ratios):.2f})"
    )
    return found


def _row_of(name: str, turns: Sequence[Turn], images: int, before: int) -> tuple[str, str, str, str]:
    wall, cpu, most = (
        statistics.median(getattr(turn, what) for turn in turns) for what in ("wall_s", "cpu_s", "most")
    )
    grown = (most - before) / 2**20
    return name, f"{images / wall:,.0f}", f"{cpu / images * 1e6:.1f}", f"{grown:,.0f}"


def _bare(reader: KuduReader, options: argparse.Namespace) -> Iterator[int]:
    predicates, columns = [Predicate("knownlabel", "is not null")], READ
    if options.where:
        condition = Condition(options.where, reader.schema("images"))
        predicates += condition.predicates
        columns = tuple(dict.fromkeys([*READ, *condition.columns]))
    tokens = reader.scan_tokens("images", columns, predicates, time.time_ns() // 1000)
    for given in reader.read_tokens("images", columns, dict(enumerate(tokens)), options.threads):
        if given.rows is not None:
            yield given.rows.num_rows


def _source(reader: KuduReader, options: argparse.Namespace) -> KuduImages:
    selection = Selection(where=options.where)
    return KuduImages(reader, selection, Decoding(PREPROCESS), lambda *_: PREPROCESS.picture, options.threads)


def _images(reader: KuduReader, options: argparse.Namespace) -> Iterator[int]:
    for batch in _source(reader, options).scan():
        yield len(batch)


def _measured(
    read: Callable[[KuduReader, argparse.Namespace], Iterator[int]],
    reader: KuduReader,
    options: argparse.Namespace,
) -> Turn:
    started, cpu, count, early, most = time.perf_counter(), time.process_time(), 0, 0, 0
    for number, images in enumerate(read(reader, options)):
        count += images
        if number % _LOOK_EVERY == 0:
            most = max(most, _anonymous())
        if count <= options.rows // 2:
            early = most
    assert count == options.rows, f"{count:,} of {options.rows:,} rows were read"
    return Turn(time.perf_counter() - started, time.process_time() - cpu, early, most)


def _measured_arrays(
    reader: KuduReader, options: argparse.Namespace, home: Path
) -> Iterator[tuple[str, str, str, str]]:
    before, started, cpu = _anonymous(), time.perf_counter(), time.process_time()
    dataset = ArrayCache(home / "arrays").dataset(_source(reader, options), Split())
    yield _row("into arrays", options.rows, started, cpu, _anonymous() - before)
    before, started, cpu = _anonymous(), time.perf_counter(), time.process_time()
    most = 0
    for tensor, _ in Batches(dataset.train, PREPROCESS):
        most = max(most, _anonymous()) if len(tensor) % 1000 == 0 else most
    most = max(most, _anonymous())
    yield _row("an epoch over them", len(dataset.train.labels), started, cpu, most - before)


def _row(name: str, images: int, started: float, cpu: float, grown: int) -> tuple[str, str, str, str]:
    wall, used = time.perf_counter() - started, time.process_time() - cpu
    return name, f"{images / wall:,.0f}", f"{used / images * 1e6:.1f}", f"{grown / 2**20:,.0f}"


def _anonymous() -> int:
    """Return the bytes of this process's own memory: mapped files, which the system can let go, are not counted."""
    status = Path("/proc/self/status").read_text()
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(kilobytes) * 1024


@contextmanager
def own_kudu(home: Path, masters: str = "") -> Iterator[str]:
    """Give the masters of a Kudu: of one that is there, or of one that lives as long as the context."""
    if masters:
        yield masters
        return
    [configset] = SOLR.server_files
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers are to end with this
    try:
        yield local.up(home / "stack", configset).kudu_masters
    finally:
        local.down(home / "stack", purge=True)


def drop_tables(masters: str, prefix: str) -> None:
    """Drop all tables of a prefix."""
    for table in (ask("table", "list", masters) or "").splitlines():
        if table.startswith(prefix):
            ask("table", "delete", masters, table)


@contextmanager
def _table(rows: int, masters: str) -> Iterator[KuduOptions]:
    kudu = KuduOptions(masters=masters, table_prefix=f"bench_{uuid4().hex[:8]}_")
    try:
        _fill(kudu, rows)
        yield kudu
    finally:
        drop_tables(masters, kudu.table_prefix)


def _fill(kudu: KuduOptions, rows: int) -> None:
    digits = list(source_digits(min(rows, _DISTINCT)))
    header = netpbm_header(28, 28, 1)
    views = [
        header + pixels.tobytes()
        for pixels in np.random.default_rng(1).integers(0, 256, (len(digits), 28, 28), np.uint8)
    ]
    hashes = [sha256(digit.content).hexdigest() for digit in digits]
    sink = KuduSink(kudu, COLUMNS)
    sink.connect()
    for start in range(0, rows, _WRITTEN_AT_ONCE):
        numbers = range(start, min(start + _WRITTEN_AT_ONCE, rows))
        places = [number % len(digits) for number in numbers]
        images = [
            ImageMessage(f"{number // len(digits)}/{digits[place].id}", digits[place].content, 0)
            for number, place in zip(numbers, places, strict=True)
        ]
        sink.write(
            Batch(
                images,
                {
                    "id": [image.id for image in images],
                    "source": [f"camera-{place % 100}" for place in places],
                    "sha256": [hashes[place] for place in places],
                    "knownlabel": [digits[place].known_label or 0 for place in places],
                    "image_as_pgm": [views[place] for place in places],
                    "model": ["mnist"] * len(images),
                    "model_version": [1] * len(images),
                },
            )
        )
    sink.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.datasets", description=__doc__)
    add_options(parser)
    return parser.parse_args()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which images are read, and how."""
    parser.add_argument("--rows", type=int, default=200_000, help="how many images")
    parser.add_argument("--threads", type=int, default=2, help="how many scan")
    parser.add_argument("--turns", type=int, default=3, help="how many runs of each, beside the warm-up")
    parser.add_argument(
        "--where", default="", help="a condition on the images, which all of them have to meet"
    )
    parser.add_argument("--kudu", default="", help="masters of a Kudu that is there; one is started if unset")


if __name__ == "__main__":
    main()
