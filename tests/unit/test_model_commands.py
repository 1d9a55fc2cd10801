"""`flumen train` and `flumen models`, as a user calls them."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from model_files import small_model
from test_training_small import write_idx
from typer.testing import CliRunner

from flumen.cli.learning import train
from flumen.cli.models import app as models
from flumen.models.errors import ModelNotFound
from flumen.models.repository import CHAMPION, Repository
from flumen.models.shipped import seed

app = typer.Typer()
app.command("train")(train.train)
app.add_typer(models.app, name="models")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture
def root(tmp_path: Path, monkeypatch) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    return str(tmp_path / "models")


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Return a folder of images that tell their label: three kinds, each bright in a row of its own."""
    folder = tmp_path / "data"
    folder.mkdir()
    for part, count in (("train", 120), ("t10k", 30)):
        labels = np.arange(count) % 3
        images = np.zeros((count, 3, 4))
        images[np.arange(count), labels] = 200
        write_idx(folder / f"{part}-images-idx3-ubyte", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels)
    return str(folder)


def test_train_registers_versions_and_the_first_becomes_the_champion(root, data):
    arguments = (
        "train",
        "--data",
        data,
        "--root",
        root,
        "--name",
        "rows",
        "--epochs",
        "20",
        "--batch-size",
        "20",
    )
    found = json.loads(run(*arguments, "--json"))
    assert (found["name"], found["version"], found["images"], found["accuracy"]) == ("rows", 1, 30, 1.0)
    assert found["confusion"] == [[10, 0, 0], [0, 10, 0], [0, 0, 10]]
    shown = run(*arguments)
    assert "Registered rows@2" in shown
    assert "Known label (rows) classified as (columns)" in shown

    repository = Repository(root)
    assert repository.versions("rows") == [1, 2]
    assert repository.alias("rows", CHAMPION) == 1
    assert repository.manifest("rows", 1).sha256 == repository.manifest("rows", 2).sha256 == found["sha256"]


def test_train_keeps_nothing_if_asked(root, data):
    found = json.loads(
        run("train", "--data", data, "--root", root, "--epochs", "1", "--no-register", "--json")
    )
    assert found["version"] is None
    assert Repository(root).names() == []


@pytest.fixture
def filled(root) -> str:
    repository = Repository(root)
    for _ in range(2):
        repository.register(*small_model())
    repository.set_alias("shapes", CHAMPION, 1)
    return root


def test_list_shows_every_version_and_a_damaged_one_with_its_problem(filled):
    Path(filled, "shapes", "2", "manifest.json").write_bytes(b"{}")
    first, second = json.loads(run("models", "list", "--root", filled, "--json"))
    assert (first["model"], first["version"], first["aliases"], first["problem"]) == (
        "shapes",
        1,
        "champion",
        None,
    )
    assert (second["version"], second["sha256"]) == (2, None)
    assert "manifest.json is not valid" in second["problem"]
    assert "champion" in run("models", "list", "--root", filled)


def test_list_of_nothing_says_what_to_do(root):
    assert "flumen train" in run("models", "list", "--root", root)
    assert json.loads(run("models", "list", "--root", root, "--json")) == []


def test_list_on_a_fresh_home_shows_what_a_worker_would_put_there(tmp_path, monkeypatch):
    monkeypatch.setenv("FLUMEN_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    rows = json.loads(run("models", "list", "--json"))
    assert [(row["model"], row["version"], row["aliases"], row["shipped_only"]) for row in rows] == [
        ("mnist", 1, "", True),
        ("mnist", 2, "champion", True),
        ("shapes", 1, "champion", True),
        ("textures", 1, "champion", True),
    ]
    assert "mnist" in run("models", "list")
    assert not (tmp_path / "models").exists(), "to look is not to write"

    seed(Repository(str(tmp_path / "models")))
    there = json.loads(run("models", "list", "--json"))
    assert [row | {"shipped_only": True} for row in there] == rows
    assert json.loads(run("models", "list", "--root", str(tmp_path / "other"), "--json")) == []


def test_the_repository_is_the_settings_one_unless_another_is_named(filled, monkeypatch):
    monkeypatch.setenv("FLUMEN_MODELS_ROOT", filled)
    assert len(json.loads(run("models", "list", "--json"))) == 2


def test_show_is_the_champion_or_the_version_that_is_named(filled):
    assert json.loads(run("models", "show", "shapes", "--root", filled, "--json"))["version"] == 1
    assert json.loads(run("models", "show", "shapes@2", "--root", filled, "--json"))["version"] == 2
    shown = run("models", "show", "shapes@1", "--root", filled)
    for fact in (
        "shapes@1",
        "champion",
        "image float32 [n, 12]",
        "1 above 30, else 0",
        "circle, square, star",
    ):
        assert fact in shown


def test_show_of_what_is_not_there_is_an_error_of_ours(filled):
    with pytest.raises(ModelNotFound, match="shapes@3"):
        run("models", "show", "shapes@3", "--root", filled)
