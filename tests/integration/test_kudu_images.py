"""Images in Kudu as a data set: the same from a real Kudu and from tables in memory, and as the live path sees them."""

import io
import os
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.interceptor.decoding import decode_image
from flumen.interceptor.pgm import netpbm_header
from flumen.interceptor.small import SMALL_BYTES
from flumen.models.datasets.array_cache import ArrayCache
from flumen.models.datasets.files import Decoding
from flumen.models.datasets.source import (
    NO_LABEL,
    OTHER_LABEL,
    OTHER_SIZE,
    UNDECODABLE,
    UNREADABLE,
    ImageBatch,
)
from flumen.models.datasets.split import Split
from flumen.models.errors import DatasetInvalid
from flumen.models.repository import Repository
from flumen.replay.datasets import Origin, Surroundings, open_dataset
from flumen.replay.errors import BadQuery
from flumen.replay.images import KuduImages, Selection
from flumen.replay.images.tables import MemoryTables, ScannedTables
from flumen.stores.kudu import KuduOptions, KuduReader, KuduSink, TokenRows

COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("source", Kind.STRING, ""),
    Column("sha256", Kind.STRING, ""),
    Column("knownlabel", Kind.INT32, ""),
    Column("ingested_at", Kind.TIMESTAMP, ""),
    Column("image_as_pgm", Kind.BINARY, ""),
    Column("model", Kind.STRING, ""),
    Column("model_version", Kind.INT32, ""),
)
COUNT = 240
SMALL = Preprocess(8, 6)
LARGE = Preprocess(320, 200, channels=3, resize="crop")
"""At this size a view is cut into chunks."""
SEEN = {("small", 1): SMALL, ("small", 2): replace(SMALL, crop=0.5, resize="crop"), ("large", 1): LARGE}
RANDOM = np.random.default_rng(8)
NOISE = [RANDOM.integers(0, 256, (size, size + 5, 3), np.uint8) for size in (9, 40, 260)]


def picture_of(name: str, version: int) -> tuple[object, ...] | None:
    seen = SEEN.get((name, version))
    return seen and seen.picture


def file(row: int) -> bytes:
    """Mostly small files; every 30th is cut into chunks, every 50th is none that can be decoded."""
    if row % 50 == 48:
        return b"no image %d" % row
    buffer = io.BytesIO()
    pixels = np.roll(NOISE[2 if row % 30 == 7 else row % 2], row, axis=1)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


FILES = [file(row) for row in range(COUNT)]
MODELS = [None if row % 50 == 48 else list(SEEN)[row % 3] for row in range(COUNT)]
KNOWN = [None if row % 5 == 4 else 12 if row == 3 else -1 if row == 8 else row % 4 for row in range(COUNT)]
LABELS = tuple("abcd")


def seen(row: int, preprocess: Preprocess) -> bytes:
    raster = decode_image(FILES[row], Limits(), preprocess).raster
    return netpbm_header(preprocess.width, preprocess.height, preprocess.channels) + raster


def batch() -> Batch:
    ids = [f"image-{row:03}" for row in range(COUNT)]
    images = [ImageMessage(image_id, content, 0) for image_id, content in zip(ids, FILES, strict=True)]
    # Only the size tells that the answer of the others is no view of that size: they were not seen at all.
    views = [seen(row, SEEN[model]) if model else None for row, model in enumerate(MODELS)]
    return Batch(
        images,
        {
            "id": ids,
            "source": [None if row % 60 == 59 else f"camera-{row % 20}" for row in range(COUNT)],
            "sha256": [sha256(content).hexdigest() for content in FILES],
            "knownlabel": KNOWN,
            "ingested_at": [1_790_000_000_000_000 + row for row in range(COUNT)],
            "image_as_pgm": views,
            "model": [model and model[0] for model in MODELS],
            "model_version": [model and model[1] for model in MODELS],
        },
    )


@pytest.fixture(scope="module")
def kudu(flumen_stack: Any, tmp_path_factory: pytest.TempPathFactory) -> KuduOptions:
    options = KuduOptions(
        masters=flumen_stack.kudu_masters,
        table_prefix=f"{tmp_path_factory.mktemp('learn').name}_{os.getpid()}_",
        partitions=3,
    )
    sink = KuduSink(options, COLUMNS)
    sink.connect()
    assert not sink.write(batch())
    sink.close()
    return options


@pytest.fixture(scope="module")
def in_memory(kudu: KuduOptions) -> MemoryTables:
    """The twin, with what is in the tables."""
    reader = KuduReader(kudu)
    tables = {name: whole_table(reader, name) for name in ("images", "image_chunks", "view_chunks")}
    reader.close()
    return MemoryTables(tables)


def whole_table(reader: KuduReader, name: str) -> pa.Table:
    schema = reader.schema(name)
    return pa.Table.from_batches(reader.scan(name, schema.names), schema)


@pytest.fixture(params=["kudu", "memory"])
def tables(request: pytest.FixtureRequest) -> Iterator[ScannedTables]:
    if request.param == "memory":
        yield request.getfixturevalue("in_memory")
        return
    reader = KuduReader(request.getfixturevalue("kudu"))
    yield reader
    reader.close()


@dataclass
class Found:
    """What a scan gave, in the order of the ids."""

    rows: list[int]
    pixels: np.ndarray
    labels: list[int]
    groups: list[str]
    skipped: dict[int, str]
    """Those that have a label."""
    unlabelled: int


def whole(batches: list[ImageBatch]) -> Found:
    ids = [image_id for batch in batches for image_id in batch.ids]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    groups = [group for batch in batches for group in batch.groups]
    skips = [skip for batch in batches for skip in batch.skipped]
    return Found(
        [number(ids[place]) for place in order],
        np.concatenate([batch.pixels for batch in batches])[order],
        np.concatenate([batch.labels for batch in batches])[order].tolist(),
        [groups[place] for place in order],
        {number(skip.id): skip.reason for skip in skips if skip.reason != NO_LABEL},
        sum(1 + skip.more for skip in skips if skip.reason == NO_LABEL),
    )


def number(image_id: str) -> int:
    return int(image_id.removeprefix("image-"))


def has_label(row: int) -> bool:
    return KNOWN[row] is not None and KNOWN[row] in range(4)


def broken(row: int) -> bool:
    return row % 50 == 48


QUICK = Decoding(SMALL, Limits(max_image_bytes=SMALL_BYTES))
"""Decodes no file that takes a process of its own: the start of one takes longer than all the rest."""


def is_quick(row: int) -> bool:
    """Whether `QUICK` and `picture_of` give the image."""
    fits = MODELS[row] == ("small", 1) or len(FILES[row]) <= SMALL_BYTES
    return has_label(row) and fits and not broken(row)


@pytest.mark.parametrize(
    ("preprocess", "use_views"), [(SMALL, True), (LARGE, True), (Preprocess(10, 10), False)]
)
def test_pixels_are_those_of_the_live_path(
    tables: ScannedTables, preprocess: Preprocess, use_views: bool
) -> None:
    source = KuduImages(
        tables, Selection(labels=LABELS), Decoding(preprocess), picture_of if use_views else None
    )
    found = whole(list(source.scan()))
    assert found.rows == [row for row in range(COUNT) if has_label(row) and not broken(row)]
    assert found.labels == [KNOWN[row] for row in found.rows]
    for row, pixels in zip(found.rows, found.pixels, strict=True):
        assert pixels.tobytes() == decode_image(FILES[row], Limits(), preprocess).raster, row
    undecoded = {row: UNDECODABLE for row in range(COUNT) if has_label(row) and broken(row)}
    assert found.skipped == {3: OTHER_LABEL, 8: OTHER_LABEL, **undecoded}
    assert undecoded
    assert found.unlabelled == KNOWN.count(None)


@pytest.mark.parametrize(
    ("where", "keeps"),
    [
        ("source like 'camera-1%'", lambda row: row % 60 != 59 and row % 20 in (1, *range(10, 20))),
        ("source = 'camera-2' or id < 'image-005'", lambda row: row % 20 == 2 or row < 5),
        ("knownlabel < 9 and Source ^@ 'camera-2'", lambda row: KNOWN[row] is not None and row % 20 == 2),
        ("knownlabel in (1, 2) -- a remark", lambda row: KNOWN[row] in (1, 2)),
        ("ingested_at < '2026-09-21 14:13:20.000100'", lambda row: row < 100),
        ("length(source) > 8", lambda row: row % 60 != 59 and row % 20 >= 10),
        ("true", lambda row: True),
    ],
)  # fmt: skip
def test_a_condition_chooses_as_in_sql(
    tables: ScannedTables, where: str, keeps: Callable[[int], bool]
) -> None:
    source = KuduImages(tables, Selection(where=where, labels=LABELS), QUICK, picture_of)
    found = whole(list(source.scan()))
    assert found.rows == [row for row in range(COUNT) if keeps(row) and is_quick(row)]
    # Where the condition asks for a label, none is missing.
    expected = sum(keeps(row) for row in range(COUNT) if KNOWN[row] is None)
    assert found.unlabelled == (0 if "knownlabel" in where else expected)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("knownlable is not null", "knownlabel"),
        ("knownlabel is not", "syntax"),
        ("true) order by (id", "no condition"),
        ("true) union select 1 from images where (true", "no condition"),
        ("true) limit (3", "no condition"),
        ("id in (select 'x')", "no other table"),
        ("true); drop table images; select (1", "one SQL statement"),
        ("id = (select content from read_text('/etc/passwd'))", "refused"),
        ("count(*) > 3", "aggregate"),
        ('"row of this batch" = 0', "no column 'row of this batch'"),
        ("source = '\ud800'", "not UTF-8"),
    ],
)
def test_what_is_no_condition_is_refused(in_memory: MemoryTables, where: str, says: str) -> None:
    with pytest.raises(BadQuery, match=says):
        KuduImages(in_memory, Selection(where=where), Decoding(SMALL))


def test_a_condition_that_cannot_be_computed_is_refused(in_memory: MemoryTables) -> None:
    source = KuduImages(in_memory, Selection(where="cast(source as integer) = 3"), Decoding(SMALL))
    with pytest.raises(BadQuery, match="camera"):
        list(source.scan())


def test_no_more_bytes_wait_than_are_to_be_in_memory(
    in_memory: MemoryTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    read_tokens = MemoryTables.read_tokens

    def counted(*arguments: Any) -> Generator[TokenRows, None, None]:
        for rows in read_tokens(*arguments):
            if "knownlabel" in arguments[2]:  # not those of the images themselves
                given.append(rows.token)
            yield rows

    monkeypatch.setattr(MemoryTables, "read_tokens", counted)
    # Rows without a label, which are named first, are none of these.
    labelled = Selection(where="knownlabel is not null", labels=LABELS)
    for most, read in ((1, 1), (2**26, 4)):  # a token has three batches, and tells its end
        monkeypatch.setattr("flumen.replay.images.chosen.READ_BYTES", most)
        given.clear()
        scan = KuduImages(in_memory, labelled, QUICK, picture_of).scan()
        next(scan)
        assert len(given) == read


@pytest.mark.parametrize(
    "selection",
    [
        Selection(label="known"),
        Selection(group="camera"),
        Selection(label="source"),
        Selection(group="image"),
    ],
)
def test_a_column_that_is_not_there_is_refused(in_memory: MemoryTables, selection: Selection) -> None:
    with pytest.raises(BadQuery, match=selection.group or selection.label):
        KuduImages(in_memory, selection, Decoding(SMALL))


@pytest.mark.parametrize("moment", [0, -5, 2**51, 10**30])
def test_a_moment_that_is_none_is_refused(in_memory: MemoryTables, moment: int) -> None:
    with pytest.raises(DatasetInvalid, match="microseconds since 1970"):
        KuduImages(in_memory, Selection(), QUICK, snapshot_us=moment)


def test_a_condition_on_the_images_themselves_chooses_too(in_memory: MemoryTables) -> None:
    found = [
        whole(list(KuduImages(in_memory, Selection(where=where, labels=LABELS), QUICK, picture_of).scan()))
        for where in ("", "image is not null or chunks > 0")
    ]
    assert found[0].rows == found[1].rows
    np.testing.assert_array_equal(found[0].pixels, found[1].pixels)


def test_images_of_another_size_are_left_out_where_none_is_resized(tables: ScannedTables) -> None:
    size = Preprocess(14, 9)
    source = KuduImages(tables, Selection(labels=LABELS), Decoding(size, any_size=False), picture_of)
    found = whole(list(source.scan()))
    assert found.rows
    assert all(row % 2 == 0 for row in found.rows)
    assert set(found.skipped.values()) == {OTHER_SIZE, OTHER_LABEL, UNDECODABLE}


def test_a_scan_goes_on_behind_a_token(tables: ScannedTables) -> None:
    moment = time.time_ns() // 1000
    source = KuduImages(tables, Selection(labels=LABELS), QUICK, picture_of, 1, moment)
    batches = list(source.scan())
    expected = whole(batches)
    again = KuduImages(tables, Selection(labels=LABELS), QUICK, picture_of, 2, moment)
    for stop, last in enumerate(batches, 1):
        if not len(last):  # a token's end: nothing comes twice, and nothing is lost
            both = whole(batches[:stop] + list(again.scan(last.position)))
            assert both.rows == expected.rows
            assert both.labels == expected.labels
    assert list(again.scan(batches[-1].position)) == []
    with pytest.raises(DatasetInvalid, match="snapshot"):
        list(replace_moment(tables, moment + 1).scan(batches[0].position))
    for wrong in ("x", "{}", "[]", f'{{"snapshot_us": {moment}, "tokens": 3}}'):
        with pytest.raises(DatasetInvalid, match="no position"):
            list(again.scan(wrong))


def replace_moment(tables: ScannedTables, moment: int) -> KuduImages:
    return KuduImages(tables, Selection(), QUICK, picture_of, snapshot_us=moment)


def test_kudu_and_memory_and_any_threads_give_the_same_data_set(
    kudu: KuduOptions, in_memory: MemoryTables, tmp_path: Path
) -> None:
    reader = KuduReader(kudu)
    split = Split(0.25, 0.25)
    selection = Selection(group="source", labels=LABELS)
    made = [
        ArrayCache(tmp_path / str(place)).dataset(
            KuduImages(tables, selection, Decoding(SMALL), picture, threads), split
        )
        for place, (tables, threads, picture) in enumerate(
            [(reader, 1, picture_of), (reader, 3, None), (in_memory, 1, picture_of)]
        )
    ]
    reader.close()
    assert len({dataset.fingerprint for dataset in made}) == 1
    assert len({dataset.train.sha256 for dataset in made}) == 1
    cameras = [
        {row % 20 for row in map(number, part.ids) if row % 60 != 59}  # type: ignore[arg-type]
        for part in (made[0].train, made[0].validation, made[0].test)  # type: ignore[union-attr]
    ]
    assert all(cameras)
    assert len(set.union(*cameras)) == sum(map(len, cameras))


def test_an_empty_selection_says_so(tables: ScannedTables, tmp_path: Path) -> None:
    source = KuduImages(tables, Selection(where="source = 'nobody'"), Decoding(SMALL), picture_of)
    with pytest.raises(DatasetInvalid, match="source = 'nobody' gives no image"):
        ArrayCache(tmp_path).dataset(source, Split())


def test_chunks_that_are_not_there_or_not_its_own_are_named(kudu: KuduOptions) -> None:
    reader = KuduReader(kudu)
    images, chunks = (whole_table(reader, name) for name in ("images", "image_chunks"))
    reader.close()
    cut = [row for row in range(COUNT) if row % 30 == 7 and has_label(row)]
    lost = chunks.filter(pc.not_equal(chunks.column("id"), f"image-{cut[0]:03}"))
    others = pa.array([b"x" * len(value) for value in lost.column("data").to_pylist()], pa.binary())
    changed = lost.set_column(lost.schema.names.index("data"), "data", others)
    tables = MemoryTables({"images": images, "image_chunks": changed})
    found = list(KuduImages(tables, Selection(labels=LABELS), Decoding(Preprocess(10, 10))).scan())
    why = {
        number(skip.id): skip.why for batch in found for skip in batch.skipped if skip.reason == UNREADABLE
    }
    assert why.pop(cut[0]).startswith("0 of its")
    assert set(why) == set(cut[1:])
    assert all("being replaced" in each for each in why.values())


def test_a_table_that_changes_while_it_is_read_gives_one_state(kudu: KuduOptions, flumen_names: Any) -> None:
    options = replace(kudu, table_prefix=flumen_names.kudu_prefix)
    sink = KuduSink(options, COLUMNS)
    sink.connect()
    assert not sink.write(batch())
    reader = KuduReader(options)
    source = KuduImages(reader, Selection(labels=LABELS), QUICK, picture_of, threads=1)
    scan = source.scan()
    batches = [next(scan)]
    corrected = batch().with_columns(knownlabel=[0] * COUNT)
    assert not sink.write(corrected)
    sink.remove(corrected.take(list(range(100, 150))))
    batches += scan
    found = whole(batches)
    assert found.rows == [row for row in range(COUNT) if is_quick(row)]
    assert found.labels == [KNOWN[row] for row in found.rows]
    now = whole(list(KuduImages(reader, Selection(labels=LABELS), QUICK, picture_of).scan()))
    assert set(now.labels) == {0}
    assert not set(now.rows) & set(range(100, 150))
    sink.close()
    reader.close()


def test_one_way_leads_to_every_origin(kudu: KuduOptions, tmp_path: Path) -> None:
    around = Surroundings(
        arrays=tmp_path / "arrays",
        limits=Limits(),
        processes=2,
        kudu=kudu,
        repository=Repository(tmp_path / "models"),
    )
    told: list[int] = []
    origin = Origin(kind="kudu", selection=Selection(where="knownlabel < 4", labels=LABELS), picture=SMALL)
    dataset = open_dataset(origin, Split(), around, told.append)
    expected = sum(has_label(row) and not broken(row) for row in range(COUNT))
    assert dataset.fingerprint.rows == expected == told[-1]
    assert dataset.fingerprint.text.startswith(f"{expected} images of 8x6 from Kudu where knownlabel < 4")
