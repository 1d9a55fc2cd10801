"""Spark over the real Kudu: the same answers and the same rows as without it, bit for bit. One session for all."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from live_images import ARRIVED_US, damaged, digits, live, store
from typer.testing import CliRunner

from flumen.cli.main import app
from flumen.models.repository import Repository
from flumen.replay.errors import BadQuery, NoSuchMoment, SparkFailed
from flumen.stores.corrections import Correction
from flumen.stores.kudu import KuduCorrections, KuduOptions, KuduReader
from flumen.stores.kudu.driver import Write, open_driver

pytest.importorskip("pyspark")
pytestmark = [
    # PySpark leaves the closing of its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pyspark"),
]

COUNT = 100
BROKEN, TORN = 3, 47
"""An image that is none any more, and one that lacks a chunk (see `live_images.digits`)."""


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from flumen.replay.spark import spark_session

    with pytest.MonkeyPatch.context() as patch:
        # Of a short life: what its second compiler does would never pay off.
        java = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
        patch.setenv("PYSPARK_SUBMIT_ARGS", f"--driver-java-options '{java}' pyspark-shell")
        yield from opened_by(spark_session)


def opened_by(spark_session: Any) -> Iterator[Any]:
    with spark_session("local[2]") as session:
        session.sparkContext.setLogLevel("ERROR")
        session.conf.set("spark.sql.shuffle.partitions", "2")
        session.conf.set("spark.sql.codegen.wholeStage", "false")
        session.conf.set("spark.sql.maxMetadataStringLength", "1000")
        yield session


@pytest.fixture(scope="module")
def repository(models_root: Path) -> Repository:
    return Repository(models_root)


@pytest.fixture(scope="module")
def files(mnist: Path) -> list[bytes]:
    return digits(mnist, COUNT)


@pytest.fixture(scope="module")
def photos() -> list[bytes]:
    """A photo of each kind, as JPEG."""
    folder = Path(__file__).parents[2] / "data" / "textures"
    return [min(kind.glob("*.jpg")).read_bytes() for kind in sorted(folder.iterdir()) if kind.is_dir()]


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
    key = pa.RecordBatch.from_pydict({"id": [f"digit-{TORN:04}"], "seq": pa.array([1], pa.int32())})
    driver = open_driver(options)
    driver.apply([Write(f"{options.table_prefix}image_chunks", key, "delete")])
    driver.close()
    return options


@pytest.fixture
def flumen(kudu: KuduOptions, models_root: Path, monkeypatch: pytest.MonkeyPatch, spark: Any) -> Any:
    """Run a command in this process, which has a Spark session."""
    monkeypatch.setenv("FLUMEN_KUDU_MASTERS", kudu.masters)
    monkeypatch.setenv("FLUMEN_KUDU_TABLE_PREFIX", kudu.table_prefix)
    monkeypatch.setenv("FLUMEN_MODELS_ROOT", str(models_root))

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, arguments)

    return run


def rows_of(options: KuduOptions, table: str) -> list[dict[str, Any]]:
    reader = KuduReader(options)
    try:
        names = reader.schema(table).names
        rows = [row for batch in reader.scan(table, names) for row in batch.to_pylist()]
    finally:
        reader.close()
    return sorted(rows, key=lambda row: row["id"])


def test_a_model_answers_as_on_the_live_path(
    spark: Any, files: list[bytes], repository: Repository, photos: list[bytes]
) -> None:
    from flumen.replay.spark import classify_udf

    wrong = {"text": b"no image", "cut": files[0][:40], "empty": b"", "none": None}
    for model, images in (("mnist@2", files), ("textures@1", photos)):
        rows = [(f"{number:04}", content) for number, content in enumerate(images)] + list(wrong.items())
        frame = spark.createDataFrame(rows, "id string, image binary")
        classify = classify_udf(model, repository=repository.url)
        found = {
            row.id: row
            for row in frame.select("id", classify("image").alias("a")).select("id", "a.*").collect()
        }
        assert len(found) == len(rows)
        expected = live(images, repository.load(model.split("@")[0], int(model[-1])))
        for number in range(len(images)):
            row = found[f"{number:04}"]
            probabilities = np.asarray(expected.columns["probabilities"])[number]
            assert bytes(row.probabilities) == probabilities.astype("<f4").tobytes()
            assert row.prediction == expected.columns["prediction"][number]
            assert row.confidence == float(expected.columns["confidence"][number])
            assert row.label == expected.columns["label"][number]
            assert (f"{row.model}@{row.model_version}", row.error) == (model, None)
        for name in wrong:
            row = found[name]
            assert (row.prediction, row.label, row.confidence, row.probabilities) == (None,) * 4
            assert row.error


@pytest.mark.parametrize(
    ("where", "columns"),
    [
        ("", ["id", "image", "image_as_pgm", "prediction", "ingested_at"]),
        ("prediction in (3, 4) and id < 'digit-0060'", ["id", "image"]),
        ("id like 'digit-%7' and confidence / 2 < 0.4999", ["id", "confidence"]),
        (f"ingested_at >= make_timestamp({ARRIVED_US + 50}) and knownlabel is null", ["id", "ingested_at"]),
    ],
)
def test_images_are_read_as_they_were_published(
    spark: Any, kudu: KuduOptions, files: list[bytes], where: str, columns: list[str]
) -> None:
    import flumen.replay.sql as local
    from flumen.replay.spark import read_images

    found = {row.id: row for row in read_images(spark, kudu, where=where, columns=columns).collect()}
    reader = KuduReader(kudu)
    asked = local.query(reader, f"select id from images {'where ' + where if where else ''}")
    assert found.keys() == {image_id for (image_id,) in asked.rows}
    assert found
    for image_id, row in found.items():
        if "image" in columns:
            number = int(image_id[-4:])
            expected = (
                None if number == TORN else b"no image" if image_id == f"digit-{BROKEN:04}" else files[number]
            )
            assert (None if row.image is None else bytes(row.image)) == expected
        if "image_as_pgm" in columns and row.image_as_pgm is not None:
            assert bytes(row.image_as_pgm) == reader.read_view(image_id)
    reader.close()


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

    with pytest.raises(BadQuery, match="predicton"):
        read_images(spark, kudu, where="predicton < 3")
    with pytest.raises(BadQuery, match="no column 'shade'"):
        read_images(spark, kudu, columns=["shade"])
    with pytest.raises(BadQuery, match="no column 'model'"):
        write_predictions(spark.createDataFrame([("1",)], "id string"), kudu)
    with pytest.raises(SparkFailed, match="nowhere"):
        read_table(spark, kudu, "nowhere")


def test_spark_writes_what_one_process_writes(spark: Any, kudu: KuduOptions, flumen: Any) -> None:
    from flumen.replay.spark import read_table, write_predictions

    log = KuduCorrections(kudu)
    log.connect()
    log.append([Correction("digit-0012", "delete", "somebody", ARRIVED_US)])
    log.close()
    told, written = {}, {}
    for engine in ("local", "spark"):
        ended = flumen("reclassify", "mnist@2", "--engine", engine, "--json")
        assert ended.exit_code == 0, ended.output
        told[engine] = json.loads(ended.stdout) | {"as_of": ""}
        rows = rows_of(kudu, "predictions")
        written[engine] = [{**row, "classified_at": None} for row in rows]
        assert len({row["classified_at"] for row in rows}) == 1
        if engine == "local":
            driver = open_driver(kudu)
            names = ["id", "model", "model_version"]
            for keys in list(driver.scan(f"{kudu.table_prefix}predictions", names, [])):
                driver.apply([Write(f"{kudu.table_prefix}predictions", keys, "delete")])
            driver.close()
            assert rows_of(kudu, "predictions") == []
    assert told["spark"] == told["local"]
    assert written["spark"] == written["local"]
    assert told["spark"]["answered"] == len(written["spark"]) == COUNT - 2
    whole = rows_of(kudu, "predictions")
    write_predictions(read_table(spark, kudu, "predictions"), kudu)
    assert rows_of(kudu, "predictions") == whole


@pytest.mark.parametrize(
    "statement",
    [
        "select label, count(*) as images, max(confidence) from images group by label order by label",
        (
            "select model, model_version, count(*), min(classified_at) from answers where id < 'e' "
            "group by model, model_version order by model, model_version"
        ),
        "select id, prediction, id from mnist where knownlabel is null and prediction = 4 order by id",
        "select id from images where id = 'nobody'",
    ],
)
def test_sql_on_spark_answers_as_on_one_machine(flumen: Any, statement: str) -> None:
    answers = [
        flumen("sql", statement, "--engine", engine, "--format", "csv") for engine in ("local", "spark")
    ]
    assert [answer.exit_code for answer in answers] == [0, 0], answers[1].output
    local, spark = (answer.stdout.splitlines() for answer in answers)
    assert spark[1:] == local[1:]
    assert len(spark[0].split(",")) == len(local[0].split(","))


def test_sql_on_spark_at_an_earlier_moment(
    flumen: Any, kudu: KuduOptions, files: list[bytes], repository: Repository
) -> None:
    before = datetime.now(UTC)
    store(kudu, live(files[:1], repository.load("mnist", 1), prefix="moment"))
    count = "select count(*) as images from images where id like 'moment%'"
    for at, expected in ((["--at", before.isoformat()], 0), ([], 1)):
        answer = flumen("sql", count, "--engine", "spark", "--json", *at)
        assert json.loads(answer.stdout) == [{"images": expected}]
    ancient = flumen("sql", count, "--engine", "spark", "--at", "300 days ago")
    assert isinstance(ancient.exception, NoSuchMoment), ancient.output


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("insert into images select * from images", "refused"),
        ("with x as (select 1) insert into images select * from images", "refused"),
        ("explain insert into images select * from images", "refused"),
        ("drop view images", "refused"),
        ("set spark.sql.session.timeZone = CET", "refused"),
        ("select (select transform(id) using 'cat' as (x) from images limit 1)", "refused"),
        ("select reflect('java.lang.System', 'getProperty', 'user.home')", "reflect"),
        ("select * from text.`/etc/passwd`", "passwd"),
        ("select nothing from images", "nothing"),
        ("select 1; select 2", "Spark's SQL"),
    ],
)
def test_a_statement_that_does_more_than_read_is_refused(flumen: Any, statement: str, said: str) -> None:
    ended = flumen("sql", statement, "--engine", "spark")
    assert isinstance(ended.exception, BadQuery), ended.output
    assert said in str(ended.exception)


@pytest.mark.parametrize(
    "arguments",
    [
        ("sql", "select 1", "--engine", "flink"),
        ("sql", "select 1", "--master", "yarn"),
        ("sql", "select 1", "--engine", "spark", "--explain"),
        ("reclassify", "mnist@2", "--engine", "spark", "--again"),
        ("reclassify", "mnist@2", "--engine", "spark", "--share", "0.5"),
    ],
)
def test_options_of_another_engine_are_refused(flumen: Any, arguments: tuple[str, ...]) -> None:
    assert flumen(*arguments).exit_code == 2
