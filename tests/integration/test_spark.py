"""Spark over the real Kudu: the same answers and the same rows as without it, bit for bit.

All share one session: a test in another file would pay for a Java of its own.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from live_images import ARRIVED_US, damaged, digits, live, store, tear
from typer.testing import CliRunner

from flumen.cli.main import app
from flumen.models.manifest import ModelOutput
from flumen.models.repository import MODEL_FILE, Repository
from flumen.models.trainers.embedding import with_last_hidden
from flumen.replay.errors import BadQuery, NoSuchMoment, SparkFailed
from flumen.replay.sql import query
from flumen.stores.corrections import Correction
from flumen.stores.kudu import KuduCorrections, KuduOptions, KuduReader

pytest.importorskip("pyspark")
pytestmark = [
    # PySpark leaves the closing of its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pyspark"),
]

COUNT = 50
BROKEN, TORN = 3, 47
"""An image that is none any more, and one that lacks a chunk (see `live_images.digits`)."""

# Of a short life: what a second compiler does, and what code is made for each query, would never pay off.
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
FOR_LITTLE_DATA = {
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.maxMetadataStringLength": "1000",
}


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from flumen.replay.spark import spark_session

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_SUBMIT_ARGS", f"--driver-java-options '{JAVA}' pyspark-shell")
        yield from opened_by(spark_session)


def opened_by(spark_session: Any) -> Iterator[Any]:
    with spark_session("local[2]") as session:
        session.sparkContext.setLogLevel("ERROR")
        for name, value in FOR_LITTLE_DATA.items():
            session.conf.set(name, value)
        yield session


@pytest.fixture(scope="module")
def repository(models_root: Path) -> Repository:
    return Repository(models_root)


@pytest.fixture(scope="module")
def files(mnist: Path) -> list[bytes]:
    return digits(mnist, COUNT)


@pytest.fixture(scope="module")
def kudu(
    flumen_stack: Any, tmp_path_factory: pytest.TempPathFactory, files: list[bytes], repository: Repository
) -> KuduOptions:
    options = KuduOptions(
        masters=flumen_stack.kudu_masters,
        table_prefix=f"{tmp_path_factory.mktemp('spark').name}_{os.getpid()}_",
        partitions=2,
    )
    first = live(files, repository.load("mnist", 1))
    later = live(files[:10], repository.load("mnist", 2), prefix="later")
    store(options, damaged(first, [BROKEN], b"no image"), later)
    tear(options, f"digit-{TORN:04}")
    return options


@pytest.fixture(scope="module")
def reader(kudu: KuduOptions) -> Iterator[KuduReader]:
    reader = KuduReader(kudu)
    yield reader
    reader.close()


@pytest.fixture
def flumen(kudu: KuduOptions, models_root: Path, monkeypatch: pytest.MonkeyPatch, spark: Any) -> Any:
    """Run a command in this process, which has a Spark session."""
    monkeypatch.setenv("FLUMEN_KUDU_MASTERS", kudu.masters)
    monkeypatch.setenv("FLUMEN_KUDU_TABLE_PREFIX", kudu.table_prefix)
    monkeypatch.setenv("FLUMEN_MODELS_ROOT", str(models_root))

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, arguments)

    return run


def rows_of(reader: KuduReader, table: str) -> list[dict[str, Any]]:
    names = reader.schema(table).names
    return sorted(
        (row for batch in reader.scan(table, names) for row in batch.to_pylist()), key=lambda row: row["id"]
    )


@pytest.fixture
def with_embedding(repository: Repository, tmp_path: Path) -> Repository:
    """The model of digits, which gives its last hidden layer as well."""
    found = Repository(tmp_path)
    manifest = repository.manifest("mnist", 2)
    content = with_last_hidden((Path(repository.url) / "mnist" / "2" / MODEL_FILE).read_bytes())
    output = ModelOutput("probabilities", "embedding")
    found.register(content, replace(manifest, sha256=sha256(content).hexdigest(), output=output))
    return found


def test_a_model_answers_as_on_the_live_path(
    spark: Any, files: list[bytes], repository: Repository, with_embedding: Repository
) -> None:
    from flumen.replay.spark import classify_udf

    textures = Path(__file__).parents[2] / "data" / "textures"
    photos = [(textures / kind / f"{kind}-00.jpg").read_bytes() for kind in ("brick", "stars")]
    wrong = {"text": b"no image", "cut": files[0][:40], "empty": b"", "none": None}
    for model, where, images in (("mnist", with_embedding, files), ("textures", repository, photos)):
        rows = [*wrong.items(), *((f"{number:04}", content) for number, content in enumerate(images))]
        # In one partition: each process of Python that has a model takes seconds.
        frame = spark.createDataFrame(rows, "id string, image binary").coalesce(1)
        classify = classify_udf(model, repository=where.url)
        answers = frame.select("id", classify("image").alias("answer")).select("id", "answer.*")
        found = {row.id: row for row in answers.collect()}
        assert len(found) == len(rows)
        classifier = where.load(model, 1)
        expected = live(images, classifier).columns
        for number in range(len(images)):
            row = found[f"{number:04}"]
            probabilities = np.asarray(expected["probabilities"])[number]
            assert bytes(row.probabilities) == probabilities.astype("<f4").tobytes()
            assert row.prediction == expected["prediction"][number]
            assert row.confidence == float(expected["confidence"][number])
            assert row.label == expected["label"][number]
            assert row.embedding == (expected["embedding"][number] if "embedding" in expected else None)
            assert (row.model, row.model_version, row.error) == (model, 1, None)
        assert ("embedding" in expected) == (model == "mnist")
        for name in wrong:
            row = found[name]
            assert (row.prediction, row.label, row.confidence, row.probabilities, row.embedding) == (
                None,
            ) * 5
            assert row.error


def test_images_are_read_as_they_were_published(
    spark: Any, kudu: KuduOptions, files: list[bytes], reader: KuduReader
) -> None:
    from flumen.replay.spark import read_images

    columns = ["id", "image", "image_as_pgm", "prediction", "ingested_at"]
    found = {row.id: row for row in read_images(spark, kudu, columns=columns).collect()}
    stored = {row["id"]: row for row in rows_of(reader, "images")}
    assert found.keys() == stored.keys()
    for image_id, row in found.items():
        number = int(image_id[-4:])
        image = None if number == TORN else b"no image" if image_id == f"digit-{BROKEN:04}" else files[number]
        assert row.image == image
        view = None if image_id == f"digit-{BROKEN:04}" else reader.read_view(image_id)
        assert row.image_as_pgm == view
        assert row.prediction == stored[image_id]["prediction"]
        assert row.ingested_at == stored[image_id]["ingested_at"].replace(tzinfo=None)


CONDITIONS = (
    "prediction in (3, 4) and id < 'digit-0030'",
    "id like 'digit-%7' and confidence / 2 < 0.4999",
    f"ingested_at >= make_timestamp({ARRIVED_US + 20}) and knownlabel is null",
    "1 = 0",
)


def test_a_condition_means_what_it_means_on_one_machine(
    spark: Any, kudu: KuduOptions, reader: KuduReader
) -> None:
    from pyspark.sql.functions import lit

    from flumen.replay.spark import read_images

    frames = [
        read_images(spark, kudu, where=where, columns=["id"]).withColumn("number", lit(number))
        for number, where in enumerate(CONDITIONS)
    ]
    found = {(row.number, row.id) for row in reduce(lambda one, other: one.union(other), frames).collect()}
    for number, where in enumerate(CONDITIONS):
        expected = query(reader, f"select id from images where {where}").rows
        assert {image_id for at, image_id in found if at == number} == {image_id for (image_id,) in expected}
        assert expected or where == "1 = 0"


def test_kudu_tests_what_it_can(spark: Any, kudu: KuduOptions) -> None:
    from flumen.replay.spark import read_images

    where = f"id >= 'digit-0090' and prediction = 3 and ingested_at < make_timestamp({ARRIVED_US + 95})"
    frame = read_images(spark, kudu, where=where, columns=["id"])
    plan = frame._jdf.queryExecution().executedPlan().toString()
    for pushed in ("GreaterThanOrEqual(id,digit-0090)", "EqualTo(prediction,3)", "LessThan(ingested_at,"):
        assert pushed in plan
    assert "ReadSchema: struct<id:string,prediction:int,ingested_at:timestamp>" in plan


def test_what_is_wrong_is_told(spark: Any, kudu: KuduOptions) -> None:
    from flumen.replay.spark import read_images, read_table, write_predictions
    from flumen.replay.spark.failures import translated

    with pytest.raises(BadQuery, match="predicton"):
        read_images(spark, kudu, where="predicton < 3")
    with pytest.raises(BadQuery, match="no column 'shade'"):
        read_images(spark, kudu, columns=["shade"])
    with pytest.raises(BadQuery, match="no column 'model'"):
        write_predictions(spark.createDataFrame([("1",)], "id string"), kudu)
    with pytest.raises(BadQuery, match=r"Could not convert string 'digit-.*have these columns"), translated():
        read_images(spark, kudu, where="id::int = 3", columns=["id"]).collect()
    with pytest.raises(SparkFailed, match="nowhere"):
        read_table(spark, kudu, "nowhere")


def test_spark_writes_what_one_process_writes(kudu: KuduOptions, reader: KuduReader, flumen: Any) -> None:
    log = KuduCorrections(kudu)
    log.connect()
    log.append([Correction("digit-0012", "delete", "somebody", ARRIVED_US)])
    log.close()
    told, written = {}, {}
    for engine in ("local", "spark"):
        ended = flumen("reclassify", "mnist@2", "--engine", engine, "--json")
        assert ended.exit_code == 0, ended.output
        told[engine] = json.loads(ended.stdout)
        written[engine] = rows_of(reader, "predictions")
    assert told["spark"] | {"as_of": ""} == told["local"] | {"as_of": ""}
    assert told["spark"]["answered"] == len(written["spark"]) == COUNT - 2
    # Spark has written each row anew: the same but for the moment, of which whole milliseconds count.
    moments = {engine: {row.pop("classified_at") for row in rows} for engine, rows in written.items()}
    assert written["spark"] == written["local"]
    assert [len(each) for each in moments.values()] == [1, 1]
    assert min(moments["spark"]) > max(moments["local"])
    assert min(moments["spark"]).microsecond % 1000 == 0


def on_spark(spark: Any, kudu: KuduOptions, statement: str, at_us: int | None = None) -> pa.Table:
    from flumen.replay.spark.querying import query_on_spark

    tables = ["images", *(["predictions"] if "answers" in statement else [])]
    with query_on_spark(spark, kudu, tables, statement, at_us) as batches:
        return pa.Table.from_batches(list(batches), batches.schema)


def test_sql_on_spark_prints_what_one_machine_prints(flumen: Any) -> None:
    statement = (
        "select label, count(*) as images, max(confidence) as most from images group by label order by label"
    )
    answers = [
        flumen("sql", statement, "--engine", engine, "--format", "csv") for engine in ("local", "spark")
    ]
    assert [answer.exit_code for answer in answers] == [0, 0], answers[1].output
    assert answers[0].stdout == answers[1].stdout
    assert answers[0].stdout.count("\n") > 5


def test_sql_on_spark_has_the_views_also_at_an_earlier_moment(
    spark: Any, kudu: KuduOptions, reader: KuduReader, files: list[bytes], repository: Repository
) -> None:
    moment_us = int(datetime.now(UTC).timestamp() * 1e6)
    store(kudu, live(files[:1], repository.load("mnist", 1), prefix="moment"))
    statement = (
        "select model, model_version, count(*), min(classified_at) from answers where id < 'n' "
        "group by model, model_version order by model, model_version"
    )
    found = on_spark(spark, kudu, statement, moment_us)
    rows = list(zip(*(column.to_pylist() for column in found.columns), strict=True))
    assert rows == query(reader, statement, moment_us).rows != query(reader, statement).rows
    nothing = on_spark(spark, kudu, "select id, prediction, id from mnist where id = 'nobody'")
    assert (nothing.num_rows, nothing.column_names) == (0, ["id", "prediction", "id:1"])
    with pytest.raises(NoSuchMoment):
        on_spark(spark, kudu, "select count(*) from images", moment_us - 300 * 86_400_000_000)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("insert into images select * from images", "refused"),
        ("with x as (select 1) insert into images select * from images", "refused"),
        ("explain insert into images select * from images", "refused"),
        ("insert overwrite directory '/tmp/flumen-refused' using csv select 1", "refused"),
        ("from values (1) insert overwrite directory '/tmp/flumen-refused' using csv select *", "refused"),
        ("drop view images", "refused"),
        ("set spark.sql.session.timeZone = CET", "refused"),
        ("select (select transform(1) using 'cat' as (x))", "refused"),
        ("select 1; select 2", "PARSE_SYNTAX_ERROR"),
    ],
)
def test_a_statement_that_does_more_than_read_is_refused(spark: Any, statement: str, said: str) -> None:
    from pyspark.errors import ParseException

    from flumen.replay.spark.querying import check_read_only

    with pytest.raises((BadQuery, ParseException), match=said):
        check_read_only(spark, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "select reflect('java.lang.System', 'getProperty', 'user.home')",
        "select * from text.`/etc/passwd`",
        "select nothing from images",
    ],
)
def test_programs_files_and_what_is_not_there_are_refused(
    spark: Any, kudu: KuduOptions, statement: str
) -> None:
    with pytest.raises(BadQuery, match="Spark's SQL"):
        on_spark(spark, kudu, statement)
