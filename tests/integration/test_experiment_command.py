"""`flumen experiment` on a real Kudu: interrupted, killed, resumed, and shown."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from flumen.cli.background import environment_of
from flumen.cli.learning import experiment
from flumen.models.errors import RunNotFound
from flumen.models.experiments.run import Run
from flumen.models.experiments.run_store import RunStore
from flumen.replay.errors import BadQuery
from flumen.replay.sql import query
from flumen.stores.kudu import KuduReader, KuduRuns
from flumen.stores.solr import SolrModelIndex
from flumen.stores.solr.search import Search

GRID = """
name = "few"
seeds = [1, 2, 3, 4]
[data]
train_images = 600
test_images = 200
[parameters]
rate = [0.01, 1e9]
hidden = [[300]]
epochs = 120
"""

FEW = ("--processes", "1")


@pytest.fixture
def grid(tmp_path: Path, mnist: Path) -> Path:
    file = tmp_path / "few.toml"
    file.write_text(GRID.replace("[data]", f'[data]\ndata = "{mnist}"'))
    return file


@pytest.fixture
def store(settings: Any) -> Iterator[RunStore]:
    store = RunStore(KuduRuns(settings.kudu_options()))
    yield store
    store.close()


@pytest.fixture
def start(settings: Any, grid: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    started: list[subprocess.Popen[str]] = []

    def begin(verb: str, keep: str = "none") -> "subprocess.Popen[str]":
        root = str(grid.parent / "models")
        command = [sys.executable, "-m", "flumen", "experiment", verb, str(grid), *FEW]
        command += ["--keep", keep, "--root", root]
        started.append(
            subprocess.Popen(
                command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment_of(settings)}
            )
        )
        return started[-1]

    yield begin
    for one in started:
        one.kill()
        with one:  # closes its output, and waits
            pass


@pytest.fixture
def ask(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Call a subcommand of `flumen experiment` in this process."""
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str) -> str:
        result = CliRunner().invoke(experiment.app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return call


def done(store: RunStore) -> dict[str, Run]:
    return {run.run_id: run for run in store.list("few") if run.stands}


def kept(store: RunStore) -> set[str]:
    return {run.reference for run in done(store).values() if run.reference}


def test_an_experiment_goes_on_whatever_ended_it_and_computes_nothing_twice(
    start: Any, store: RunStore, grid: Path, run_flumen: Any, wait_until: Any, ask: Any, settings: Any
) -> None:
    with pytest.raises(RunNotFound):
        ask("resume", str(grid))

    first = start("run", "best")
    wait_until(lambda: kept(store), "a run that stands with its model", first.poll)
    wait_until(lambda: not all(run.stands for run in store.list("few")), "the next run", first.poll)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate()
    assert first.returncode == 130
    assert f"flumen experiment resume {grid}`" in said
    assert {run.state for run in store.list("few")} <= {"done", "diverged", "failed"}
    before = done(store)
    assert len(before) < 8
    # What was registered is to be found, although the experiment did not come to its end.
    index = SolrModelIndex(settings.solr_options())
    assert kept(store) <= {row["id"] for row in index.find(Search(rows=100)).rows}
    index.close()

    second = start("resume")
    wait_until(lambda: len(done(store)) > len(before), "one more that stands", second.poll)
    children = psutil.Process(second.pid).children()
    second.kill()
    second.communicate()
    wait_until(lambda: not any(map(_runs, children)), "the end of its processes")
    before = done(store)

    third = run_flumen("experiment", "resume", str(grid), "--json", "--keep", "none", *FEW)
    assert third.returncode == 0, third.stderr
    runs = json.loads(third.stdout)
    assert [run["state"] for run in runs] == ["done", "diverged"] * 4
    assert all(run["ended_at"] == before[run["run_id"]].ended_at for run in runs if run["run_id"] in before)
    assert set(done(store)) == {run["run_id"] for run in runs}

    one, other = runs[0]["run_id"], runs[2]["run_id"]
    shown = ask("show", one)
    assert "Examples labeled as 0 classified by model as 0:" in shown
    assert "parameter hidden" in shown
    assert "Over 4 seeds: accuracy" in shown
    compared = json.loads(ask("compare", one, other, "--json"))
    assert compared["one"]["seed"] != compared["other"]["seed"]
    assert compared["mcnemar"]["images"] == 200
    listed = ask("list", "few")
    assert "Accuracy by rate (down) and seed (across), 10 outputs" in listed
    assert listed.count("diverged") == 8  # four in the table of accuracies, four in that of runs

    reader = KuduReader(settings.kudu_options())
    found = query(
        reader, "select count(distinct run_id), count(*) from model_runs where state in ('done', 'diverged')"
    )
    assert found.rows == [(8, 8)]
    with pytest.raises(BadQuery, match=r"model_runs\(run_id"):
        query(reader, "select * from images")
    reader.close()


def _runs(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
