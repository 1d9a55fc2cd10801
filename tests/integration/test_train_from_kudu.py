"""`flumen train` and `flumen evaluate` on the digits that stand in a real Kudu."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from flumen.cli.background import environment_of
from flumen.cli.learning import dataset, evaluate, experiment, train
from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.interceptor.pgm import netpbm_header
from flumen.models.datasets.dataset import read_dataset
from flumen.models.datasets.source import NO_LABEL
from flumen.models.repository import Repository
from flumen.stores.kudu import KuduSink

COUNT = 600
WITHOUT_LABEL = 100
COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("source", Kind.STRING, ""),
    Column("sha256", Kind.STRING, ""),
    Column("knownlabel", Kind.INT32, ""),
    Column("ingested_at", Kind.TIMESTAMP, ""),
    Column("image_as_pgm", Kind.BINARY, ""),
    Column("model", Kind.STRING, ""),
    Column("model_version", Kind.INT32, ""),
)

app = typer.Typer()
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("show")(dataset.show)
app.command("run")(experiment.run)


@pytest.fixture
def run(settings: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    for name, value in {**environment_of(settings), "FLUMEN_CACHE": str(own_cache)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FLUMEN_SINKS", '["kudu"]')

    def call(*arguments: str) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return call


@pytest.fixture
def stored(settings: Any, mnist: Path) -> None:
    """Have digits in Kudu: most with a label, the last without."""
    write(settings, mnist, [None] * WITHOUT_LABEL)


def write(settings: Any, mnist: Path, last_labels: list[int | None]) -> None:
    digits = read_dataset(mnist).train
    ids = list(digits.ids or ())[:COUNT]
    files = [netpbm_header(28, 28, 1) + image.tobytes() for image in digits.pixels[:COUNT]]
    labels = digits.labels[:COUNT].tolist()
    sink = KuduSink(settings.kudu_options(), COLUMNS)
    sink.connect()
    try:
        assert not sink.write(
            Batch(
                [ImageMessage(image_id, file, 0) for image_id, file in zip(ids, files, strict=True)],
                {
                    "id": ids,
                    "source": [f"camera-{row % 3}" for row in range(COUNT)],
                    "sha256": [sha256(file).hexdigest() for file in files],
                    "knownlabel": [*labels[:-WITHOUT_LABEL], *last_labels],
                    "ingested_at": [1_790_000_000_000_000 + row for row in range(COUNT)],
                    "image_as_pgm": [None] * COUNT,
                    "model": [None] * COUNT,
                    "model_version": [None] * COUNT,
                },
            )
        )
    finally:
        sink.close()


@pytest.mark.usefixtures("stored")
def test_a_model_learns_from_what_is_stored_and_is_tested_on_the_rest(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    images = ("--from", "kudu", "--where", "knownlabel is not null and source like 'camera-%'")
    root = str(tmp_path / "models")
    taught = (
        "--set",
        "hidden=32",
        "--epochs",
        "10",
        "--batch-size",
        "20",
        "--name",
        "digits",
        "--root",
        root,
    )
    made = run("train", *images, *taught)
    assert made["images"] == pytest.approx((COUNT - WITHOUT_LABEL) / 10, rel=0.5)
    assert made["accuracy"] > 0.5
    manifest = Repository(root).manifest("digits", made["version"])
    assert manifest.training is not None
    shown = run("show", *images)
    assert shown["rows"] == COUNT - WITHOUT_LABEL
    everything = run("show", "--from", "kudu")
    assert everything["rows"] == COUNT - WITHOUT_LABEL
    [left_out] = everything["skipped"]
    assert (left_out["reason"], left_out["count"]) == (NO_LABEL, WITHOUT_LABEL)
    assert manifest.training.data == shown["text"]
    assert manifest.training.data_sha256 == shown["sha256"]
    assert int(manifest.training.parameters["validation_images"]) > 0
    assert manifest.profile is not None
    cameras = (manifest.profile.columns or {})["source"]
    assert sorted(cameras.values or ()) == ["camera-0", "camera-1", "camera-2"]
    assert sum(cameras.counts) == manifest.training.images
    report = run("evaluate", "digits", *images, "--root", root)
    assert report["measures"]["accuracy"] == made["accuracy"]
    assert report["data"]["images"] == made["images"]
    assert all(each["id"].startswith("train-images-") for each in report["mistakes"])


GRID = """
name = "stored"
seeds = [1]
[data]
from = "kudu"
[parameters]
hidden = [[32]]
epochs = 2
rate = RATES
"""


@pytest.mark.usefixtures("stored")
def test_an_experiment_goes_on_with_the_images_it_began_with(
    run: Callable[..., Any], settings: Any, mnist: Path, tmp_path: Path
) -> None:
    grid = tmp_path / "stored.toml"
    computed = ("run", str(grid), "--keep", "none", "--processes", "1")
    grid.write_text(GRID.replace("RATES", "0.01"))
    [first] = run(*computed)
    write(settings, mnist, [3] * WITHOUT_LABEL)
    grid.write_text(GRID.replace("RATES", "[0.01, 0.02]"))
    runs = {each["parameters"]["rate"]: each for each in run(*computed)}
    assert runs[0.01]["ended_at"] == first["ended_at"]  # it was not computed again
    assert runs[0.02]["data_sha256"] == first["data_sha256"]
    assert runs[0.02]["snapshot_at"] == first["snapshot_at"]
    grid.write_text(GRID.replace("RATES", "0.01").replace('"stored"', '"later"'))
    [later] = run(*computed)
    assert later["data_sha256"] != first["data_sha256"]
