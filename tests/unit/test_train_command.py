"""`flumen train` and `flumen trainers`, as a user calls them, and what becomes of a training that is ended."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from test_training_small import write_idx
from typer.testing import CliRunner

from flumen.cli.learning import dataset, evaluate, train, trainers
from flumen.models.datasets import textures
from flumen.models.errors import (
    BadParameters,
    DatasetInvalid,
    ReportNotKept,
    RepositoryUnavailable,
    UnknownTrainer,
)
from flumen.models.evaluation.kept import Reports
from flumen.models.evaluation.report import scores_of
from flumen.models.repository import CHAMPION, Repository
from flumen.models.storage import LocalFolder

app = typer.Typer()
app.command("train")(train.train)
app.command("trainers")(trainers.trainers)
app.command("evaluate")(evaluate.evaluate)
app.command("show")(dataset.show)

MANY_EPOCHS = 10_000


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("FLUMEN_SINKS", '["kudu"]')  # so that there is no index of models to tell
    monkeypatch.setenv("FLUMEN_CACHE", str(tmp_path / "cache"))
    return str(tmp_path / "models")


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Return a folder of images that tell their label: three kinds, each bright in a row of its own, and noise."""
    folder = tmp_path / "data"
    folder.mkdir()
    random = np.random.default_rng(4)
    for part, count in (("train", 240), ("t10k", 60)):
        labels = np.arange(count) % 3
        images = random.integers(0, 20, (count, 3, 4))
        images[np.arange(count), labels] += 200
        write_idx(folder / f"{part}-images-idx3-ubyte", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels)
    return str(folder)


@pytest.mark.parametrize("trainer", ["logistic", "neighbours", "trees"])
def test_any_trainer_makes_a_version(trainer: str, root: str, data: str) -> None:
    settings = {"logistic": ("epochs=30", "rate=0.1"), "neighbours": ("neighbours=3",), "trees": ("trees=2",)}
    options = [part for one in settings[trainer] for part in ("--set", one)]
    where = ("--data", data, "--root", root, "--name", "rows", "--json")
    found = json.loads(run("train", "--trainer", trainer, *options, "--grey", "--validation", "0.2", *where))
    assert found["accuracy"] > 0.9
    manifest = Repository(root).manifest("rows", found["version"])
    assert manifest.input.preprocess.threshold is None
    assert manifest.training is not None
    assert manifest.training.parameters["trainer"] == trainer
    assert manifest.training.images + int(manifest.training.parameters["validation_images"]) == 240
    for name, _, value in (one.partition("=") for one in settings[trainer]):
        assert manifest.training.parameters[name] == float(value)
    [report] = Reports(root).of("rows", found["version"])
    assert report.measures.accuracy == found["accuracy"]
    assert manifest.scores == scores_of(report)
    assert report.mistakes == () or report.mistakes[0].id.startswith("t10k-images-")


def test_a_model_of_a_folder_sees_images_as_it_was_taught_and_is_evaluated_with_those_it_has_not_seen(
    root: str, tmp_path: Path
) -> None:
    random = np.random.default_rng(8)
    for kind, bright in (("dark", 40), ("light", 200)):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(40):
            pixels = random.integers(bright, bright + 50, (8, 12), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / kind / f"{number}.png")
    images = ("--from", "folder", "--data", str(tmp_path / "photos"))
    where = ("--root", root, "--json")
    with pytest.raises(typer.BadParameter, match="--name photos"):
        train.train(kind="folder", data=tmp_path / "photos", root=root)
    taught = (
        "--trainer",
        "neighbours",
        "--grey",
        "--size",
        "4x4",
        "--resize",
        "crop",
        "--set",
        "neighbours=1",
    )
    found = json.loads(run("train", *images, *taught, "--name", "photos", *where))
    assert found["accuracy"] == 1.0
    manifest = Repository(root).manifest("photos", 1)
    assert manifest.labels == ("dark", "light")
    assert manifest.input.preprocess.resize == "crop"
    assert manifest.training is not None
    shown = json.loads(run("show", *images, "--size", "4x4", "--resize", "crop", "--json"))
    assert (manifest.training.data_sha256, manifest.training.data) == (shown["sha256"], shown["text"])
    report = json.loads(run("evaluate", "photos", *images, *where))
    assert report["data"]["sha256"] == (manifest.scores and manifest.scores.data_sha256)
    assert report["measures"]["log_loss"] == (manifest.scores and manifest.scores.log_loss)


def test_the_model_to_be_like_is_that_of_the_repository_which_is_trained_into(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUMEN_MODELS_ROOT", str(tmp_path / "of the settings"))
    for kind in ("dark", "light"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(20):
            level = number + (200 if kind == "light" else 0)
            Image.new("L", (12, 8), level).save(tmp_path / "photos" / kind / f"{number}.png")
    images = ("--from", "folder", "--data", str(tmp_path / "photos"), "--trainer", "neighbours")
    where = ("--root", root, "--grey", "--set", "neighbours=1")
    run("train", *images, *where, "--size", "5x3", "--resize", "pad", "--name", "first")
    run("train", *images, *where, "--like", "first", "--name", "second")
    preprocess = Repository(root).manifest("second", 1).input.preprocess
    assert (preprocess.width, preprocess.height, preprocess.resize) == (5, 3, "pad")


def test_the_groups_of_photos_are_a_source(root: str) -> None:
    """With a name and a validation part of their own; evaluation finds the same images to test on."""
    taught = ("--trainer", "neighbours", "--set", "images=300", "--set", "neighbours=1", "--root", root)
    found = json.loads(run("train", "--textures", *taught, "--json"))
    manifest = Repository(root).manifest("textures", 1)
    assert (found["name"], found["images"], manifest.labels) == ("textures", 435, textures.LABELS)
    assert manifest.training is not None
    assert manifest.training.data_sha256 == textures.cut_dataset().fingerprint.sha256
    assert found["accuracy"] > 0.5  # by chance 0.2
    asked = ("evaluate", "textures", "--textures", "--root", root, "--json", "--no-index", "--no-keep")
    report = json.loads(run(*asked))
    assert report["measures"]["accuracy"] == found["accuracy"]
    assert report["data"]["sha256"] == (manifest.scores and manifest.scores.data_sha256)


def test_a_round_is_a_line_where_there_is_no_terminal(root: str, data: str) -> None:
    arguments = ("train", "--data", data, "--root", root, "--name", "rows", "--epochs", "2", "--no-register")
    shown = CliRunner().invoke(app, [*arguments, "--validation", "0.2"], catch_exceptions=False).stderr
    lines = [line for line in shown.splitlines() if line.startswith("round")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert all("loss" in line and "validation accuracy" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "kind", "reason"),
    [
        (["--trainer", "netwrok"], UnknownTrainer, "did you mean 'network'"),
        (["--set", "epoch=2"], BadParameters, "did you mean 'epochs'"),
        (["--set", "epochs"], BadParameters, "--set epochs=VALUE"),
        (["--set", "rate=nan"], BadParameters, "rate is nan"),
        (["--trainer", "trees", "--epochs", "2"], BadParameters, "no parameter 'epochs'"),
        (["--class-weights", "1,2"], BadParameters, "3 labels and 2 class weights"),
        (["--class-weights", "even"], BadParameters, "or balanced"),
        (["--shapes", "--grey"], DatasetInvalid, "leave out --grey"),
        (["--textures", "--grey"], DatasetInvalid, "leave out --grey"),
        (["--shapes", "--textures"], DatasetInvalid, "leave out one of them"),
    ],
)
def test_a_slip_is_told(options: list[str], kind: type[Exception], reason: str, root: str, data: str) -> None:
    with pytest.raises(kind, match=reason):
        run("train", "--data", data, "--root", root, *options)
    assert Repository(root).names() == []


def test_textures_are_split_as_they_are(root: str) -> None:
    with pytest.raises(DatasetInvalid, match="validation part of their own"):
        run("train", "--root", root, "--textures", "--validation", "0.1")
    assert Repository(root).names() == []


def test_trainers_shows_what_can_be_set(root: str) -> None:
    shown = run("trainers")
    assert all(name in shown for name in ("network", "logistic", "trees", "neighbours"))
    (trees,) = json.loads(run("trainers", "trees", "--json"))
    assert {"trees", "rate", "leaves"} <= {one["name"] for one in trees["parameters"]}
    assert "flumen train --trainer trees --set" in run("trainers", "trees")


def started(root: str, data: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "flumen", "train", "--data", data, "--root", root, "--name", "rows"]
    options = ["--epochs", str(MANY_EPOCHS), "--batch-size", "1", "--validation", "0.2"]
    return subprocess.Popen([*command, *options], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def after_a_round(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("round"), line + process.stderr.read()


def test_ctrl_c_ends_it_with_the_best_so_far_and_two_that_end_at_once_register_a_version_each(
    root: str, data: str
) -> None:
    with started(root, data) as one, started(root, data) as other:
        for process in (one, other):
            after_a_round(process)
        for process in (one, other):
            os.kill(process.pid, signal.SIGINT)
        ends = [process.communicate() for process in (one, other)]
    assert [process.returncode for process in (one, other)] == [0, 0], ends
    assert all("going on with the best so far" in told for _, told in ends)
    assert sorted(shown.split("Registered rows@")[1].split()[0] for shown, _ in ends) == ["1", "2"]
    repository = Repository(root)
    assert repository.versions("rows") == [1, 2]
    for version in (1, 2):
        training = repository.manifest("rows", version).training
        assert training is not None
        assert int(training.parameters["best_epoch"]) < MANY_EPOCHS
        assert len(Reports(root).of("rows", version)) == 1
    assert repository.alias("rows", CHAMPION) in (1, 2)


def test_a_trainer_that_is_killed_leaves_nothing(root: str, data: str) -> None:
    with started(root, data) as process:
        after_a_round(process)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not Path(root).exists()


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Limit files to so many bytes: a write beyond is refused, as on a disk that is full."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        signal.signal(signal.SIGXFSZ, former)


def test_a_model_without_its_report_is_told_by_its_version(
    root: str, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = LocalFolder.publish
    monkeypatch.setattr(  # a file where the folder of the reports would be
        LocalFolder, "publish", lambda folder, path, files: publish(folder, path, {**files, "report": b""})
    )
    said = r"rows@1 was registered without its report.*`flumen evaluate rows@1` makes one"
    with pytest.raises(ReportNotKept, match=said):
        run("train", "--data", data, "--root", root, "--name", "rows", "--epochs", "1", "--batch-size", "50")
    assert Repository(root).versions("rows") == [1]


def test_a_disk_that_is_full_is_told_and_nothing_half_written_stays(root: str, data: str) -> None:
    few = ("--epochs", "1", "--batch-size", "50")
    with full_disk(100_000), pytest.raises(RepositoryUnavailable):
        run("train", "--data", data, "--root", root, "--name", "rows", *few)
    assert Repository(root).names() == []
    assert not [path for path in Path(root).rglob("*") if path.is_file()]
