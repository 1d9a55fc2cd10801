"""`flumen dataset show`, on folders, lists and IDX files."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_train_command import full_disk
from test_training_small import write_idx
from typer.testing import CliRunner, Result

from flumen.cli.main import app
from flumen.models.datasets import read_dataset
from flumen.models.errors import DatasetInvalid, ModelNotFound
from flumen.streams.errors import NotSaved


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLUMEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FLUMEN_HOME", str(tmp_path / "home"))
    return tmp_path / "cache"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    random = np.random.default_rng(4)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(60):
            pixels = random.integers(0, 256, (9, 9, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "photos" / "dog" / "broken.png").write_bytes(b"x")
    return tmp_path / "photos"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["dataset", "show", *map(str, arguments)])


def shown(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_folder_is_counted_by_part_and_class(photos: Path, cache: Path) -> None:
    found = shown("--from", "folder", "--data", photos, "--size", "8x6", "--colour", "--resize", "crop")
    cat, dog, both = found["classes"]
    assert (cat["class"], dog["class"], both["class"]) == ("cat", "dog", "all")
    parts = ("train", "validation", "test")
    assert all(both[part] == cat[part] + dog[part] > 0 for part in parts)
    assert sum(cat[part] for part in parts) == 60 == sum(dog[part] for part in parts)
    assert found["text"].startswith("120 images of 8x6, RGB from ")
    (skipped,) = found["skipped"]
    assert (skipped["reason"], skipped["count"]) == ("that cannot be decoded", 1)
    assert skipped["examples"][0].startswith("dog/broken.png (")
    assert len([path for path in (cache / "datasets").iterdir() if path.is_dir()]) == 1


def test_people_see_a_table_and_what_was_left_out(photos: Path) -> None:
    result = run("--from", "folder", "--data", photos)
    assert result.exit_code == 0
    assert "120 images of 28x28" in result.stdout
    assert "left out: 1 that cannot be decoded: dog/broken.png (" in result.stderr
    assert "fingerprint " in result.stdout


def test_a_name_that_a_terminal_would_obey_is_shown_as_text(photos: Path) -> None:
    (photos / "dog/\x1b]0;mine\x07.png").write_bytes(b"x")
    found = run("--from", "folder", "--data", photos)
    assert found.exit_code == 0
    assert "\x1b]0;" not in found.output
    assert "\\x1b]0;mine\\x07.png" in found.output


def test_a_list_gives_the_same_pixels_and_groups_stay_together(photos: Path, tmp_path: Path) -> None:
    with (tmp_path / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "group"])
        rows.writerows(
            [f"photos/{name}/{number}.png", name, f"camera-{number % 12}"]
            for name in ("cat", "dog")
            for number in range(60)
        )
    found = shown("--from", "csv", "--data", tmp_path / "list.csv", "--validation", "0.3", "--test", "0.3")
    assert [each["class"] for each in found["classes"]] == ["cat", "dog", "all"]
    # Each camera has five of either class.
    assert all(each[part] % 5 == 0 for each in found["classes"] for part in ("train", "validation", "test"))


def test_idx_files_are_what_they_were_and_may_be_split(tmp_path: Path) -> None:
    folder = tmp_path / "idx"
    folder.mkdir()
    random = np.random.default_rng(2)
    for part, count in (("train", 2000), ("t10k", 300)):
        write_idx(folder / f"{part}-images-idx3-ubyte", random.integers(0, 256, (count, 28, 28)))
        write_idx(folder / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    found = shown("--data", folder)
    assert found["sha256"] == read_dataset(folder).train.sha256
    assert found["classes"][-1] == {"class": "all", "train": 2000, "test": 300}
    split = shown("--data", folder, "--validation", "0.1", "--export", tmp_path / "all.npz")
    counts = split["classes"][-1]
    assert counts["train"] + counts["validation"] == 2000
    assert abs(counts["validation"] - 200) < 5 * np.sqrt(2000 * 0.1 * 0.9)
    with np.load(tmp_path / "all.npz") as arrays:
        assert arrays["validation_pixels"].shape == (counts["validation"], 28, 28)
        assert arrays["test_labels"].shape == (300,)
    assert "exists already" in str(run("--data", folder, "--export", tmp_path / "all.npz").exception)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from", "disk"], "--from is one of idx, folder, csv, kudu"),
        (["--from", "folder", "--data", "x", "--size", "28"], "--size is like 28x28"),
        (["--from", "folder", "--data", "x", "--size", "0x28"], "from 1 to"),
        (["--from", "folder", "--data", "x", "--resize", "fold"], "--resize is one of"),
        (["--from", "csv", "--data", "x", "--validation", "0.6", "--test", "0.5"], "below 1"),
        (["--where", "knownlabel < 4"], "--where is for images --from kudu"),
        (["--from", "csv", "--data", "x", "--group", "source"], "--group is for images --from kudu"),
        (["--from", "folder", "--data", "x", "--snapshot", "3"], "--snapshot is for images --from kudu"),
        (["--from", "folder", "--data", "x", "--labels", "a,b"], "--labels is for images --from csv or kudu"),
        (["--size", "32x32"], "--size is for images --from folder or csv or kudu"),
        (["--from", "folder", "--data", "x", "--like", "mnist", "--colour"], "leave out --size and --colour"),
    ],
)
def test_wrong_options_say_what_is_right(arguments: list[str], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert says in " ".join((result.output + str(result.exception)).replace("│", " ").split())


def test_a_list_is_seen_as_a_shipped_model_sees_images_before_any_worker_has_started(photos: Path) -> None:
    found = shown("--from", "folder", "--data", photos, "--like", "shapes")
    assert found["text"].startswith("120 images of 32x32, RGB")


def test_what_cannot_be_written_is_told_and_nothing_half_written_stays(photos: Path) -> None:
    where = ("--from", "folder", "--data", photos, "--size", "64x64", "--colour")
    assert run(*where).exit_code == 0
    for name in (photos / "dog/1.png/all.npz", photos / "no/all.npz", photos / f"{'x' * 300}.npz"):
        assert "cannot be written" in str(run(*where, "--export", name).exception)
    with full_disk(200_000):
        found = run(*where, "--export", photos / "all.npz")
    assert isinstance(found.exception, NotSaved)
    assert not (photos / "all.npz").exists()


def test_what_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    assert isinstance(run("--from", "folder").exception, DatasetInvalid)
    assert isinstance(run("--from", "folder", "--data", tmp_path / "x").exception, DatasetInvalid)
    assert isinstance(run("--from", "csv", "--data", "x", "--like", "nobody").exception, ModelNotFound)
