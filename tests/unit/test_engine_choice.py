"""Which engine computes an experiment: what is refused, and what a machine is told that lacks something for it."""

import sys
from importlib import import_module

import pytest
from typer.testing import CliRunner

from flumen.cli.learning import experiment
from flumen.models.errors import EngineUnavailable, ExtraMissing


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "gpu"], "allowed are local, cuda, spark"),
        (["--device", "cpu"], "goes with --engine cuda only"),
        (["--engine", "cuda", "--processes", "2"], "goes with --engine local and spark only"),
        (["--engine", "local", "--master", "yarn"], "goes with --engine spark only"),
    ],
)
@pytest.mark.parametrize("command", ["run", "resume"])
def test_options_of_another_engine_are_refused(command: str, options: list[str], said: str) -> None:
    result = CliRunner().invoke(experiment.app, [command, "article", *options], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert said in result.output


def test_without_its_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for package, module in (("torch", "cuda.device"), ("pyspark", "spark.context")):
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.delitem(sys.modules, f"flumen.models.experiments.{module}", raising=False)
        with pytest.raises(ExtraMissing, match=r"pip install 'flumen-ingest\[(torch|spark)\]'"):
            import_module(f"flumen.models.experiments.{module}")


def test_a_spark_that_does_not_start_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspark")
    from pyspark import SparkContext

    from flumen.models.experiments.spark.context import spark_context

    monkeypatch.setattr(SparkContext, "_active_spark_context", None)
    monkeypatch.setattr(SparkContext, "_gateway", None)
    monkeypatch.setenv("SPARK_HOME", "/nowhere")
    with (
        pytest.raises(
            EngineUnavailable, match=r"master 'local\[3\]': .*nowhere.*--master, such as local\[2\]"
        ),
        spark_context("local[3]"),
    ):
        raise AssertionError("it has started")
