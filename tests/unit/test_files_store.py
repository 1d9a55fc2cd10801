"""What the store of files has beyond the contract suite: files that others read, and what may happen to a folder."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import DriverMissing, SchemaMismatch, StoreRefused, StoreUnavailable
from flumen.stores.files import FilesMigration, FilesOptions, FilesReader, FilesSink

COLUMNS = (
    Column("id", Kind.STRING, "The image's id.", nullable=False),
    Column("label", Kind.STRING, "What it shows."),
    Column("image_as_pgm", Kind.BINARY, "What the classifier saw."),
)
MORE = (*COLUMNS, Column("ink", Kind.FLOAT, "How dark it is."))
PAGE = Path(__file__).parents[2] / "docs" / "files.md"


def batch_of(*ids: str, label: str = "7") -> Batch:
    count = len(ids)
    batch = Batch([ImageMessage(image_id, b"image", 0) for image_id in ids])
    return batch.with_columns(id=list(ids), label=[label] * count, image_as_pgm=[b"P5"] * count)


@pytest.fixture
def options(tmp_path: Path) -> FilesOptions:
    return FilesOptions(url=str(tmp_path / "images"))


@pytest.fixture
def sink(options: FilesOptions) -> Iterator[FilesSink]:
    sink = FilesSink(options, COLUMNS)
    sink.connect()
    yield sink
    sink.close()


def files_of(options: FilesOptions) -> list[Path]:
    return sorted(Path(options.url).glob("images/day=*/*.parquet"))


def test_a_batch_is_one_file_and_nothing_else_is_left(options: FilesOptions, sink: FilesSink) -> None:
    sink.write(batch_of("a", "b"))
    sink.write(batch_of("c"))
    sink.remove(batch_of("c"))
    assert [pq.read_metadata(file).num_rows for file in files_of(options)] == [2, 1, 1]
    everything = {path.name for path in Path(options.url).rglob("*") if path.is_file()}
    assert everything == {"_schema.parquet", *(file.name for file in files_of(options))}


def test_the_later_row_counts_whatever_the_clock_says(
    options: FilesOptions, sink: FilesSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 2_000_000_000)
    sink.write(batch_of("a", "a", label="old"))
    monkeypatch.setattr("time.time_ns", lambda: 1_000_000_000)
    sink.write(batch_of("a", label="new"))
    assert FilesReader(options).get("a") == {
        "id": "a",
        "label": "new",
        "image_as_pgm": b"P5",
        "image": b"image",
        "probabilities": None,
    }
    assert {file.parent.name for file in files_of(options)} == {"day=1970-01-01"}


def test_without_images_there_are_none(tmp_path: Path) -> None:
    options = FilesOptions(url=str(tmp_path), images=False)
    sink = FilesSink(options, COLUMNS)
    sink.connect()
    sink.write(batch_of("a"))
    assert FilesReader(options).get("a") == {"id": "a", "label": "7", "probabilities": None}
    with pytest.raises(SchemaMismatch, match="column 'image_as_pgm' is missing"):
        FilesSink(FilesOptions(url=str(tmp_path)), COLUMNS).connect()


def test_columns_are_added_and_old_rows_have_none(options: FilesOptions, sink: FilesSink) -> None:
    assert FilesReader(FilesOptions(url=f"{options.url}-none")).count() == 0
    assert not FilesMigration(FilesOptions(url=f"{options.url}-none"), MORE).plan()
    sink.write(batch_of("a"))
    new = FilesSink(options, MORE)
    with pytest.raises(SchemaMismatch, match=r"column 'ink' is missing, expected float.*tables migrate"):
        new.connect()
    migration = FilesMigration(options, MORE)
    [addition] = migration.plan()
    assert (addition.store, addition.table, addition.column, addition.type) == (
        "files",
        "images",
        "ink",
        "float",
    )
    migration.apply()
    migration.apply()
    assert not migration.plan()
    new.connect()
    new.write(batch_of("b").with_columns(ink=[0.5]))
    sink.write(batch_of("c"))
    reader = FilesReader(options)
    ink = {row["id"]: row["ink"] for row in reader.table(["id", "ink"]).to_pylist()}
    assert ink == {"a": None, "b": 0.5, "c": None}
    with pytest.raises(KeyError):
        reader.table(["blot"])


def test_a_column_of_ours_is_no_interceptors(options: FilesOptions) -> None:
    with pytest.raises(SchemaMismatch, match="named removed; rename"):
        FilesSink(options, (*COLUMNS, Column("removed", Kind.BOOL, "")))


def test_a_folder_that_is_gone_is_waited_for_and_not_made_anew(
    options: FilesOptions, sink: FilesSink
) -> None:
    """As if a disk were not mounted: what goes below its place would be lost to sight when it is back."""
    sink.write(batch_of("a"))
    away = Path(options.url).rename(f"{options.url}-away")
    with pytest.raises(StoreUnavailable, match=f"{options.url} cannot be written.*mounted"):
        sink.write(batch_of("b"))
    assert not Path(options.url).exists()
    away.rename(options.url)
    sink.write(batch_of("b"))
    assert FilesReader(options).count() == 2


def test_a_full_disk_leaves_nothing_behind(
    options: FilesOptions, sink: FilesSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr("os.fsync", full)
        with pytest.raises(StoreUnavailable, match="No space left on device") as caught:
            sink.write(batch_of("a"))
    assert caught.value.retriable
    assert not files_of(options)
    assert not list(Path(options.url).rglob("*.part"))


def test_a_file_in_the_folders_place_is_no_reason_to_wait(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreRefused, match="it is a folder"):
        FilesSink(FilesOptions(url=str(tmp_path / "taken")), COLUMNS).connect()


def test_what_is_no_parquet_is_told(options: FilesOptions, sink: FilesSink) -> None:
    sink.write(batch_of("a"))
    (files_of(options)[0].parent / "letter.parquet").write_text("Dear analyst")
    with pytest.raises(StoreRefused, match="cannot be read"):
        FilesReader(options).count()


def test_an_unknown_protocol_is_told() -> None:
    with pytest.raises(DriverMissing, match="nowhere://host/x cannot be reached"):
        FilesReader(FilesOptions(url="nowhere://me:hunter2@host/x"))


@pytest.mark.parametrize("language", ["sql", "python"])
def test_what_the_page_shows_analysts_gives_what_the_reader_gives(
    language: str, options: FilesOptions, sink: FilesSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block ends in `images`: a view in SQL, a table in Python."""
    sink.write(batch_of("a", "b", "gone", label="old"))
    sink.write(batch_of("a", label="new"))
    sink.remove(batch_of("gone"))
    monkeypatch.chdir(Path(options.url).parent)
    blocks = [block.split("```", 1)[0] for block in PAGE.read_text().split(f"```{language}\n")[1:]]
    assert blocks
    for block in blocks:
        code = block.replace("/data/flumen", options.url)
        if language == "sql":
            found = duckdb.connect()
            found.execute(code)
            rows = found.execute("select id, label from images order by id").fetchall()
        else:
            names: dict[str, object] = {}
            exec(code, names)
            images = names["images"]
            rows = sorted((row["id"], row["label"]) for row in images.to_pylist())  # type: ignore[attr-defined]
        assert rows == [("a", "new"), ("b", "old")]
