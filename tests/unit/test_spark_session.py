"""What Spark is told, and what a machine is told that lacks something for it."""

import sys
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flumen.cli.main import app
from flumen.models.errors import ExtraMissing
from flumen.stores.artifacts import pinned
from flumen.stores.kudu.jars import ARROW_GROUP, LOCK_FILE, SPARK_GROUP


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ('JAVA_VERSION="21.0.8"\n', 21),
        ('X="1"\nJAVA_VERSION="17"\n', 17),
        ('JAVA_VERSION="1.8.0_402"', 8),
        ("", None),
    ],
)
def test_the_release_of_a_java_is_read_off_its_folder(
    tmp_path: Path, release: str, expected: int | None
) -> None:
    pytest.importorskip("pyspark")
    from flumen.models.experiments.spark.context import java_release

    assert java_release(str(tmp_path)) is None
    (tmp_path / "release").write_text(release)
    assert java_release(str(tmp_path)) == expected


def test_newer_arrow_stands_first_where_java_needs_it() -> None:
    pytest.importorskip("pyspark")
    pytest.importorskip("pandas")
    from flumen.replay.spark.session import configuration

    jars, first = [Path("/a/kudu-spark.jar")], [Path("/b/arrow.jar"), Path("/b/buffers.jar")]
    assert not {name for name in configuration(jars, []) if "ClassPath" in name}
    settings = configuration(jars, first)
    assert settings["spark.jars"] == "/a/kudu-spark.jar"
    assert settings["spark.driver.extraClassPath"] == "/b/arrow.jar:/b/buffers.jar"
    assert settings["spark.executor.extraClassPath"] == "/b/arrow.jar:/b/buffers.jar"


def test_the_connector_and_the_newer_arrow_are_pinned_without_what_spark_has() -> None:
    groups = pinned(LOCK_FILE)
    (connector,) = groups[SPARK_GROUP]
    assert connector.coordinates == "org.apache.kudu:kudu-spark3_2.12:1.18.1"
    assert len(groups[ARROW_GROUP]) == 7
    assert {artifact.coordinates.split(":")[0] for artifact in groups[ARROW_GROUP]} == {
        "org.apache.arrow",
        "com.google.flatbuffers",
        "org.eclipse.collections",
    }


@pytest.mark.parametrize("missing", ["pandas", "pyspark"])
def test_without_the_extra_it_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspark")
    monkeypatch.setitem(sys.modules, missing, None)
    for name in [name for name in sys.modules if name.startswith("flumen.replay.spark.")]:
        monkeypatch.delitem(sys.modules, name)
    if missing == "pyspark":
        monkeypatch.delitem(sys.modules, "flumen.models.experiments.spark.context", raising=False)
    offered = import_module("flumen.replay.spark")
    for name in offered.__all__:
        with pytest.raises(ExtraMissing, match=r"pip install 'flumen-ingest\[spark\]'"):
            getattr(offered, name)


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
def test_options_of_another_engine_are_refused(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2
