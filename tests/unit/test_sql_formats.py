"""Rows as files: what is read back is what was written, and what a format has no form for is told apart."""

import base64
import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flumen.cli.new_file import new_file
from flumen.replay.errors import BadQuery
from flumen.replay.sql.formats import CsvWriter, open_writer
from flumen.streams.errors import NotSaved

NOON = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
TABLE = pa.table(
    {
        "id": ["a", "", None, 'say "=1"\n,'],
        "score": pa.array([float("nan"), float("inf"), None, -float("inf")], pa.float32()),
        "image": pa.array([b"\xff\x00", b"", None, b"x"], pa.binary()),
        "at": pa.array([NOON, None, NOON, NOON], pa.timestamp("us", "UTC")),
        "total": pa.array([Decimal(2**70), None, Decimal(1), Decimal(-1)], pa.decimal128(38, 0)),
        "many": pa.array([[1, 2], [], None, [3]], pa.list_(pa.int32())),
        "ok": [True, False, None, True],
    }
)


def written(format_name: str, table: pa.Table = TABLE, spreadsheet: bool = False) -> bytes:
    file = io.BytesIO()
    writer = open_writer(format_name, file, table.schema, spreadsheet)
    for batch in table.to_batches(max_chunksize=2):
        writer.write(batch)
    writer.finish()
    return file.getvalue()


def test_arrow_and_parquet_are_read_back_equal() -> None:
    for back in (
        pa.ipc.open_file(written("arrow")).read_all(),
        pq.read_table(io.BytesIO(written("parquet"))).cast(TABLE.schema),
    ):
        scores, expected = (each["score"].to_numpy() for each in (back, TABLE))
        np.testing.assert_array_equal(scores, expected)
        assert back["score"].null_count == 1
        assert back.drop_columns("score").equals(TABLE.drop_columns("score"))


def test_json_tells_null_from_what_is_no_number() -> None:
    rows = json.loads(written("json"))
    assert rows == [json.loads(line) for line in written("jsonl").splitlines()]
    assert [row["score"] for row in rows] == ["NaN", "Infinity", None, "-Infinity"]
    assert [row["id"] for row in rows] == TABLE["id"].to_pylist()
    assert [row["image"] and base64.b64decode(row["image"]) for row in rows] == [b"\xff\x00", "", None, b"x"]
    assert rows[0]["at"] == "2026-03-01T12:00:00.000005Z"
    assert [row["total"] for row in rows] == [2**70, None, 1, -1]
    assert [row["many"] for row in rows] == [[1, 2], [], None, [3]]
    assert json.loads(written("json", TABLE.slice(0, 0))) == []


def test_csv_tells_null_from_the_empty_text() -> None:
    text = written("csv").decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["id"] for row in rows] == ["a", "", "", 'say "=1"\n,']
    assert '\n"",' in text, "an empty text is quoted"
    assert [row["score"] for row in rows] == ["nan", "inf", "", "-inf"]
    assert [row["image"] for row in rows] == ["/wA=", "", "", "eA=="]
    assert [row["at"] for row in rows][:2] == ["2026-03-01T12:00:00.000005Z", ""]
    assert [row["total"] for row in rows] == [str(2**70), "", "1", "-1"]
    assert rows[0]["many"] == "[1,2]"


def test_formulas_are_counted_and_defused_where_that_is_asked_for() -> None:
    names = pa.table({"id": ["=1+1", "+1", "-1", "@x", "\tx", "a=1", None], "n": [-1] * 7})
    writer = CsvWriter(io.BytesIO(), names.schema, spreadsheet=False)
    writer.write(names.to_batches()[0])
    assert writer.formulas == 5
    assert b'"=1+1",-1' in written("csv", names)
    shown = written("csv", names, spreadsheet=True)
    assert b'"\'=1+1",-1' in shown
    assert b'"a=1",-1' in shown


def test_what_parquet_cannot_hold_is_told() -> None:
    intervals = pa.table({"d": pa.array([None], pa.month_day_nano_interval())})
    with pytest.raises(BadQuery, match="Cast them"):
        written("parquet", intervals)


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"

    def fail(force: bool, error: BaseException) -> None:
        with new_file(path, force) as file:
            file.write(b"half")
            raise error

    for error in (KeyboardInterrupt(), SystemExit(143), BadQuery("no")):
        with pytest.raises(type(error)):
            fail(False, error)
    assert list(tmp_path.iterdir()) == []
    with new_file(path, False) as file:
        file.write(b"whole")
    with pytest.raises(KeyboardInterrupt):
        fail(True, KeyboardInterrupt())
    with pytest.raises(NotSaved, match="--force"):
        fail(False, KeyboardInterrupt())
    assert path.read_bytes() == b"whole"
    with new_file(path, True) as file:
        file.write(b"other")
    assert path.read_bytes() == b"other"
    assert list(tmp_path.iterdir()) == [path]


def test_one_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"

    def save() -> None:
        with new_file(path, False) as file:
            path.write_bytes(b"another's")
            file.write(b"ours")

    with pytest.raises(NotSaved, match="exists already"):
        save()
    assert path.read_bytes() == b"another's"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", [".", "no/such/folder.csv"])
def test_where_no_file_can_be(tmp_path: Path, place: str) -> None:
    def save() -> Any:
        with new_file(tmp_path / place, True):
            pass

    with pytest.raises(NotSaved, match="another"):
        save()
