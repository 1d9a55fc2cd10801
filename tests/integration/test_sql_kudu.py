"""SQL over a real Kudu: the article's queries as written there, and results that pushing down never changes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.replay.errors import BadQuery, NoSuchMoment
from flumen.replay.sql import query, query_batches
from flumen.replay.sql.memory import bounded_memory, bytes_to_use
from flumen.stores.corrections import Correction
from flumen.stores.errors import StoreUnavailable
from flumen.stores.kudu import KuduAnswers, KuduCorrections, KuduOptions, KuduReader, KuduSink

ALL_PREDICTIONS = """select count(PREDICTION),PREDICTION as all_prediction
from mnist group by prediction order by prediction;"""
CORRECT_PREDICTIONS = """select count(PREDICTION),PREDICTION as correct_prediction
from mnist where prediction=knownlabel
group by prediction order by prediction;"""

COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("knownlabel", Kind.INT32, ""),
    Column("ingested_at", Kind.TIMESTAMP, ""),
    Column("image_as_pgm", Kind.BINARY, ""),
    Column("prediction", Kind.INT32, ""),
    Column("label", Kind.STRING, ""),
    Column("confidence", Kind.FLOAT, ""),
    Column("model", Kind.STRING, ""),
    Column("model_version", Kind.INT32, ""),
)
COUNT = 600
RANDOM = np.random.default_rng(1)
PREDICTIONS = RANDOM.integers(-1, 10, COUNT)
MODELS = ["mnist" if row % 11 else "shapes" for row in range(COUNT)]
"""Two models write into one table: the article's view is about the first."""
KNOWN = [int(label) if row % 7 else None for row, label in enumerate(RANDOM.integers(0, 10, COUNT))]


@pytest.fixture(scope="module")
def options(flumen_stack: Any, tmp_path_factory: pytest.TempPathFactory) -> KuduOptions:
    """A Kudu with 600 rows, for all tests of this module."""
    prefix = f"{tmp_path_factory.mktemp('sql').name}_{os.getpid()}_"
    options = KuduOptions(
        masters=flumen_stack.kudu_masters,
        table_prefix=prefix,
        partitions=2,
    )
    sink = KuduSink(options, COLUMNS)
    sink.connect()
    images = [ImageMessage(f"{row:04}", f"image {row}".encode(), 0) for row in range(COUNT)]
    failures = sink.write(
        Batch(
            images,
            {
                "id": [image.id for image in images],
                "knownlabel": KNOWN,
                "ingested_at": [1_700_000_000_000_000 + row for row in range(COUNT)],
                "image_as_pgm": [b"P5"] * COUNT,
                "prediction": PREDICTIONS.astype(np.int32),
                "label": [str(prediction) if prediction >= 0 else None for prediction in PREDICTIONS],
                "confidence": RANDOM.random(COUNT, np.float32),
                "model": MODELS,
                "model_version": [1] * COUNT,
            },
        )
    )
    sink.close()
    assert not failures
    return options


@pytest.fixture(scope="module")
def reader(options: KuduOptions) -> Iterator[KuduReader]:
    reader = KuduReader(options)
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def in_memory(reader: KuduReader) -> Iterator[Any]:
    """The same rows in a DuckDB of its own, where nothing is pushed down."""
    connection = duckdb.connect(":memory:")
    images = pa.Table.from_batches(reader.scan("images", reader.schema("images").names))
    connection.register("images", images)
    yield connection
    connection.close()


def test_the_articles_count_by_prediction(reader: KuduReader) -> None:
    result = query(reader, ALL_PREDICTIONS)
    assert list(result.columns) == ["count(PREDICTION)", "all_prediction"]
    expected = Counter(
        int(prediction) for prediction, model in zip(PREDICTIONS, MODELS, strict=True) if model == "mnist"
    )
    assert result.rows == [(expected[prediction], prediction) for prediction in sorted(expected)]
    (scan,) = result.scans
    assert (scan.table, set(scan.columns)) == ("images", {"prediction", "model"})
    assert [str(predicate) for predicate in scan.predicates] == ["model = 'mnist'"]
    assert scan.rows == MODELS.count("mnist")


def test_the_articles_count_of_correct_ones(reader: KuduReader) -> None:
    result = query(reader, CORRECT_PREDICTIONS)
    assert list(result.columns) == ["count(PREDICTION)", "correct_prediction"]
    correct = Counter(
        int(prediction)
        for prediction, known, model in zip(PREDICTIONS, KNOWN, MODELS, strict=True)
        if prediction == known and model == "mnist"
    )
    assert result.rows == [(correct[prediction], prediction) for prediction in sorted(correct)]


def test_the_view_has_the_articles_columns(reader: KuduReader) -> None:
    result = query(reader, "select * from MNIST where id = '0007'")
    assert list(result.columns) == ["id", "image_as_png", "image_as_pgm", "prediction", "knownlabel"]
    assert result.rows == [("0007", b"image 7", b"P5", PREDICTIONS[7], KNOWN[7])]


def test_kudu_reads_only_the_columns_and_rows_that_are_needed(reader: KuduReader) -> None:
    result = query(
        reader,
        "select id from images where prediction in (1, 2) and id < '0300' and knownlabel is not null "
        "and ingested_at >= timestamp '2023-11-14 22:13:20.000100' and confidence >= 0.5",
    )
    (scan,) = result.scans
    assert set(scan.columns) == {"id", "prediction", "knownlabel", "ingested_at", "confidence"}
    assert {str(predicate) for predicate in scan.predicates} >= {
        "prediction in (1, 2)",
        "id < '0300'",
        "knownlabel is not null",
        "ingested_at >= 1700000000000100",
    }
    assert len(result.rows) <= scan.rows < COUNT // 2


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select id from images where id like '001%' order by 1", {"id >= '001'", "id < '002'"}),
        ("select id from images i where i.ID like '00_7' and prediction = 3", {"id >= '00'", "id < '01'"}),
        ("select id from mnist where starts_with(id, '02')", {"id >= '02'", "id < '03'"}),
        ("select a.id from images a, (from images where id like '05%') b where a.id = b.id", {"id >= '05'"}),
        ("select id from (select id || 'x' as id from images) where id like '001%'", set()),
        ("select id from images where id like '001%' or id like '002%'", set()),
        ("select id from images where not id like '001%'", set()),
        ("select id from (select id collate nocase as id from images) where id like '001%'", set()),
        ("select id from images where id like 'it''s%'", {'id >= "it\'s"', 'id < "it\'t"'}),
    ],
)
def test_how_a_text_begins_is_tested_by_kudu(
    reader: KuduReader, in_memory: Any, sql: str, expected: set[str]
) -> None:
    from_memory = sql.replace("from mnist", "from (select * from images where model = 'mnist')")
    result = query(reader, sql)
    assert sorted(result.rows) == sorted(in_memory.execute(from_memory).fetchall())
    assert len(result.scans) == sql.count("from images") + sql.count("from mnist"), "none is read twice"
    told = {str(each) for scan in result.scans for each in scan.predicates}
    assert expected <= told
    assert expected or not any(text.startswith("id >") for text in told)


def test_a_column_is_called_as_it_was_written(reader: KuduReader) -> None:
    result = query(reader, "select exists(select 1 from images where id like '001%')")
    assert ">=" not in result.columns[0]
    assert result.rows == [(True,)]


def test_an_outer_join_keeps_the_rows_without_a_partner(reader: KuduReader) -> None:
    result = query(
        reader,
        "select count(*), count(p.id) from images i "
        "left join answers p on i.id = p.id and p.prediction = 3 where p.prediction is null",
    )
    assert result.rows == [(COUNT - int((PREDICTIONS == 3).sum()), 0)]


@pytest.mark.parametrize(
    "sql",
    [
        "with best as (select * from images where confidence > 0.9) select count(*), max(id) from best",
        "select label, count(*) from images group by all having count(*) > 3 order by 1",
        "select id from images where id in (select id from images where prediction = 4) order by id",
        "select id from images where label like '1%' or knownlabel is null order by id",
        "select id from images order by confidence desc, id limit 5",
        "select sum(prediction), avg(confidence) from images where not (prediction = 3 and label = '3')",
        "select count(*) from images where 3 >= prediction and prediction <> 2",
        "select min(ingested_at), max(ingested_at) from images where prediction = -1",
    ],
)
def test_results_are_those_of_the_same_rows_in_memory(reader: KuduReader, in_memory: Any, sql: str) -> None:
    expected = in_memory.execute(sql).fetchall()
    assert [tuple(map(pytest.approx, row)) if "avg" in sql else row for row in expected] == query(
        reader, sql
    ).rows


NUMBERS = st.integers(-3, 12)
OPERATORS = st.sampled_from(["=", "<", "<=", ">", ">=", "<>", "is distinct from"])
CONDITIONS = st.one_of(
    st.builds(
        "{} {} {}".format,
        st.sampled_from(["prediction", "knownlabel", "confidence * 10"]),
        OPERATORS,
        NUMBERS,
    ),
    st.builds("{} {} knownlabel".format, NUMBERS, OPERATORS),
    st.builds("id {} '{:04}'".format, OPERATORS, st.integers(0, COUNT)),
    st.builds("label {} '{}'".format, OPERATORS, NUMBERS),
    st.builds("confidence {} {}".format, OPERATORS, st.floats(0, 1, width=32)),
    st.builds("knownlabel in ({}, {})".format, NUMBERS, NUMBERS),
    st.builds("label not in ('{}', '{}')".format, NUMBERS, NUMBERS),
    st.builds("prediction between {} and {}".format, NUMBERS, NUMBERS),
    st.sampled_from(
        ["knownlabel is null", "label is not null", "prediction = knownlabel", "label like '1%'", "true"]
    ),
)
FILTERS = st.recursive(
    CONDITIONS,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(condition=FILTERS)
def test_pushing_down_never_changes_a_result(reader: KuduReader, in_memory: Any, condition: str) -> None:
    sql = f"select count(*), min(id), max(id), sum(prediction) from images where {condition}"
    assert query(reader, sql).rows == in_memory.execute(sql).fetchall()


def test_no_scan_goes_on_behind_a_query(reader: KuduReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow reads ahead: closed under it, Kudu's client would let its thread wait for ever, and the process with it."""
    rows = list(reader.scan("images", ["id"]))
    reading, went_on = Event(), Event()

    def slow(*_: object) -> Iterator[pa.RecordBatch]:
        for _ in range(50):
            yield from rows
            reading.set()
            went_on.wait(0.3)
            reading.clear()

    monkeypatch.setattr(reader, "scan", slow)
    assert query(reader, "select id from images limit 1").rows
    assert not reading.is_set()


def test_looking_around(reader: KuduReader) -> None:
    assert query(reader, "show tables").rows == [
        (name,) for name in ("answers", "image_chunks", "images", "mnist", "predictions", "view_chunks")
    ]
    assert ("prediction", "INTEGER") in [row[:2] for row in query(reader, "describe mnist").rows]
    assert "prediction" in str(query(reader, "explain select id from images where prediction = 3").rows)
    assert query(reader, "select 1 as one, 2 as one").columns == ["one", "one:1"]


@pytest.mark.parametrize("sql", ["select nope from images", "select * from nope", "selec 1"])
def test_an_error_names_the_tables_and_columns_there_are(reader: KuduReader, sql: str) -> None:
    with pytest.raises(BadQuery) as caught:
        query(reader, sql)
    assert "images(id, knownlabel," in str(caught.value)
    assert "mnist(id, image_as_png," in str(caught.value)
    assert "answers(id, model," in str(caught.value)


def test_a_statement_of_very_many_terms_has_a_result_or_a_reason(reader: KuduReader) -> None:
    terms = 900
    either = " or ".join(f"(prediction = {n} or label = 'l{n}')" for n in range(terms))
    found = query(reader, f"select count(*) from images where {either}").rows
    assert found == query(reader, "select count(*) from images where prediction >= 0").rows
    none = " and ".join(f"prediction <> {n}" for n in range(terms))
    assert (
        query(reader, f"select count(*) from images where {none}").rows
        == query(reader, "select count(*) from images where prediction = -1").rows
    )
    for joint in ("and", "or"):
        many = f" {joint} ".join(f"prediction <> {n}" for n in range(100_000))
        with pytest.raises(BadQuery, match="100,000 terms joined by AND and OR, and 2,000 are run here"):
            query(reader, f"select id from images where {many}")
    with pytest.raises(BadQuery, match=r"nested too deeply|depth limit"):
        query(reader, f"select id from images where {' + '.join(['prediction'] * terms)} > 5")


@pytest.mark.parametrize("sql", ["select range(100000000)", "select repeat('x', 2000000000)"])
def test_a_query_that_would_take_the_machines_memory_is_refused(
    reader: KuduReader, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    """DuckDB's own limit does not count lists and texts."""
    monkeypatch.setattr("flumen.replay.sql.memory.MOST_BYTES", 256 * 1024 * 1024)
    with bounded_memory(bytes_to_use()), pytest.raises(BadQuery, match="LIMIT"):
        query(reader, sql)
    assert query(reader, "select count(*) from images").rows == [(COUNT,)]


def test_ctrl_c_ends_a_query_without_end(reader: KuduReader) -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            query(reader, "select count(*) from range(1000000000000) a, images")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def test_what_no_python_type_holds_is_shown_all_the_same(reader: KuduReader) -> None:
    sql = "select 'infinity'::timestamp as t, 170141183460469231731687303715884105727::hugeint as n"
    assert query(reader, sql).rows == [("infinity", 2**127 - 1)]
    with pytest.raises(BadQuery, match="not UTF-8 from its sign 9"):
        query(reader, "select '\udcff'")


def test_nothing_beyond_the_tables_can_be_read(reader: KuduReader, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    rows = pa.table({"a": [1]})
    for hostile in (
        f"from '{secret}'",
        f"from read_csv('{secret}')",
        "from rows",
        f"copy images to '{tmp_path}/x'",
    ):
        with pytest.raises(BadQuery):
            query(reader, hostile)
    assert list(tmp_path.iterdir()) == [secret]
    assert rows.num_rows == 1


def test_every_answer_is_seen_once_wherever_it_stands(options: KuduOptions) -> None:
    """Also those that earlier versions of flumen wrote into both tables."""
    ours = replace(options, table_prefix=f"{options.table_prefix}answers_")
    sink, challenger, reader = KuduSink(ours, COLUMNS), KuduAnswers(ours), KuduReader(ours)
    sink.connect()
    challenger.connect()

    def answered(version: int, *ids: str) -> Batch:
        count = len(ids)
        columns = {"id": list(ids), "model": ["mnist"] * count, "model_version": [version] * count}
        columns |= {"prediction": [version] * count, "confidence": [0.5] * count}
        probabilities = np.full((count, 2), version, np.float32)
        return Batch([ImageMessage(image_id, b"x", 0) for image_id in ids], columns).with_columns(
            probabilities=probabilities
        )

    sink.write(answered(1, "replaced", "new"))
    sink.write(answered(2, "replaced"))
    sink.write(answered(1, "early").without("probabilities"))
    challenger.write(answered(1, "early"))
    challenger.write(answered(3, "early", "new", "gone"))
    sql = "select id, model_version, prediction, confidence, probabilities from answers order by id, model_version"
    expected = [
        ("early", 1),
        ("early", 3),
        ("gone", 3),
        ("new", 1),
        ("new", 3),
        ("replaced", 1),
        ("replaced", 2),
    ]
    assert query(reader, sql).rows == [
        (image_id, version, version, 0.5, np.full(2, version, "<f4").tobytes())
        for image_id, version in expected
    ]
    result = query(reader, "select model_version from answers where id = 'new' order by 1")
    assert result.rows == [(1,), (3,)]
    assert max(scan.rows for scan in result.scans) <= 2, "Kudu tests the id"
    assert query(reader, "select count(*), max(classified_at) from answers").rows == [(len(expected), None)]
    for closing in (sink, challenger, reader):
        closing.close()


def test_before_the_first_worker_there_are_no_tables(options: KuduOptions) -> None:
    reader = KuduReader(replace(options, table_prefix=f"{options.table_prefix}nothing_"))
    with pytest.raises(BadQuery, match="flumen worker"):
        query(reader, ALL_PREDICTIONS)
    reader.close()


def test_kudu_that_went_away_is_not_a_bad_query(reader: KuduReader, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: Any) -> Iterator[pa.RecordBatch]:
        raise StoreUnavailable("gone")
        yield

    monkeypatch.setattr(reader, "scan", unavailable)
    with pytest.raises(StoreUnavailable, match="gone"):
        query(reader, ALL_PREDICTIONS)


def flumen_sql(options: KuduOptions, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "FLUMEN_KUDU_MASTERS": options.masters,
        "FLUMEN_KUDU_TABLE_PREFIX": options.table_prefix,
        "COLUMNS": "200",
    }
    command = [sys.executable, "-m", "flumen", "sql", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_command(options: KuduOptions) -> None:
    done = flumen_sql(options, "--json", "select id, image, knownlabel from images where id = '0007'")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"id": "0007", "image": "aW1hZ2UgNw==", "knownlabel": KNOWN[7]}]
    done = flumen_sql(options, "--explain", "select id from images where prediction = 3")
    assert "prediction = 3" in done.stdout
    done = flumen_sql(options, "delete from images")
    assert done.returncode == 1
    assert "DELETE is refused" in done.stderr


def test_a_row_as_it_was_before_it_was_replaced(options: KuduOptions) -> None:
    ours = replace(options, table_prefix=f"{options.table_prefix}past_")
    sink, reader = KuduSink(ours, COLUMNS), KuduReader(ours)
    sink.connect()

    def write(prediction: int, *ids: str) -> None:
        columns = {"id": list(ids), "prediction": [prediction] * len(ids)}
        sink.write(Batch([ImageMessage(image_id, b"x", 0) for image_id in ids], columns))

    write(1, "a", "b")
    moment = time.time_ns() // 1000
    write(2, "b", "c")
    sql = "select id, prediction from images order by id"
    assert query(reader, sql, moment).rows == [("a", 1), ("b", 1)]
    assert query(reader, sql, moment, threads=2).rows == [("a", 1), ("b", 1)]
    assert query(reader, sql).rows == [("a", 1), ("b", 2), ("c", 2)]
    with query_batches(reader, f"{sql} limit 1", moment) as batches:
        assert [rows.to_pylist() for rows in batches] == [[{"id": "a", "prediction": 1}]]
    with pytest.raises(NoSuchMoment, match="history does not reach back"):
        query(reader, sql, moment - 30 * 86_400 * 1_000_000)
    sink.close()
    reader.close()


def test_batches_are_what_the_query_returns(reader: KuduReader) -> None:
    sql = "select id, prediction, ingested_at, image from images order by id"
    with query_batches(reader, sql) as batches:
        table = pa.Table.from_batches(batches, batches.schema)
        (scan,) = batches.scans
    assert (
        list(zip(*(column.to_pylist() for column in table.columns), strict=True)) == query(reader, sql).rows
    )
    assert table.schema.field("ingested_at").type == pa.timestamp("us")
    assert (scan.rows, scan.bytes > COUNT) == (COUNT, True)
    with query_batches(reader, "select now() as one, 2 as one") as batches:
        assert batches.schema.names == ["one", "one:1"]
        assert batches.schema.field("one").type == pa.timestamp("us", "UTC")


def test_what_goes_wrong_behind_the_first_batch_is_told(reader: KuduReader) -> None:
    sql = "select case when i = 9000 then error('no more') end as x from range(10000) r(i)"
    with query_batches(reader, sql) as batches, pytest.raises(BadQuery, match="no more"):
        list(batches)


def test_ctrl_c_ends_batches_without_end(reader: KuduReader) -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    sql = "select a.range as i from range(1000000000000) a where i = 0 or i > 900000000000"
    former = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt), query_batches(reader, sql) as batches:
            list(batches)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def test_the_command_writes_files(options: KuduOptions, reader: KuduReader, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    sql = "select id, image, knownlabel, ingested_at, confidence from images order by id"
    done = flumen_sql(options, sql, "--output", str(path))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    table = pq.read_table(path)
    assert (
        list(zip(*(column.to_pylist() for column in table.columns), strict=True)) == query(reader, sql).rows
    )
    done = flumen_sql(options, sql, "--output", str(path))
    assert (done.returncode, "--force" in done.stderr) == (1, True)
    done = flumen_sql(options, "select nope from images", "--output", str(tmp_path / "none.csv"))
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [path])
    done = flumen_sql(options, sql, "--output", str(tmp_path / "rows.txt"))
    assert (done.returncode, "--format" in done.stderr) == (2, True)


def test_a_pipe_that_is_closed_ends_the_command(options: KuduOptions) -> None:
    environment = {
        **os.environ,
        "FLUMEN_KUDU_MASTERS": options.masters,
        "FLUMEN_KUDU_TABLE_PREFIX": options.table_prefix,
    }
    command = [sys.executable, "-m", "flumen", "sql", "--format", "csv"]
    command.append("select a.id, b.id, c.range from images a, images b, range(1000) c")
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b'"id","id:1","range"\n'
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (1, b"")


@pytest.mark.parametrize("at", ["2999-01-01T00:00:00Z", "2026-01-01T00:00:00", "soon"])
def test_the_command_refuses_what_is_no_moment(options: KuduOptions, at: str) -> None:
    done = flumen_sql(options, "select 1", "--at", at)
    assert done.returncode == 1
    assert "NoSuchMoment" in done.stderr


def test_corrections_are_a_table_that_is_joined_with_the_images(
    options: KuduOptions, reader: KuduReader
) -> None:
    log = KuduCorrections(options)
    log.connect()
    try:
        log.append(
            [
                Correction("0001", "label", "eva@desk", 1_700_000_000_000_000, "it's a 7", 7),
                Correction(
                    "0002", "delete", "eva@desk", 1_700_000_000_000_001, done_at=1_700_000_000_500_000
                ),
                Correction("never seen", "delete", "eva@desk", 1_700_000_000_000_002),
            ]
        )
    finally:
        log.close()
    sql = """select sequence::int, c.id, kind, c.knownlabel, reason, done_at is null, epoch_us(corrected_at), i.id
from corrections c left join images i on i.id = c.id where actor = 'eva@desk' order by 1"""
    assert query(reader, sql).rows == [
        (1, "0001", "label", 7, "it's a 7", True, 1_700_000_000_000_000, "0001"),
        (2, "0002", "delete", None, "", False, 1_700_000_000_000_001, "0002"),
        (3, "never seen", "delete", None, "", True, 1_700_000_000_000_002, None),
    ]
    undone = query(reader, "select count(*) from corrections where done_at is null and kind = 'delete'")
    assert undone.rows == [(1,)]
