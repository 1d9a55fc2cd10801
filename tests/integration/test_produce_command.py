"""`flumen produce` against a real broker: what goes in comes out, byte for byte."""

import gzip
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from produce_topics import create_topic, published
from typer.testing import CliRunner, Result

from flumen.cli.produce import produce
from flumen.interceptor import ImageMessage
from flumen.models.datasets.idx import read_idx
from flumen.stack.layout import Endpoints
from flumen.stack.pytest_plugin import Names
from flumen.streams.errors import SourceUnreadable

MNIST = Path(__file__).parents[2] / "data" / "mnist"
IMAGES = 1_000
ARTICLE = {"7_0001.png": b"seven", "sub/0_0002.png": b"zero", "sub/other.png": b"other"}


@pytest.fixture
def run(flumen_stack: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `flumen produce` with these arguments, and no settings but the broker's address."""
    app = typer.Typer()
    app.command()(produce)
    monkeypatch.setenv("FLUMEN_KAFKA_SERVERS", flumen_stack.kafka)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def topic(flumen_stack: Endpoints, flumen_names: Names) -> str:
    return create_topic(flumen_stack.kafka, flumen_names.images_topic)


@pytest.fixture
def received(flumen_stack: Endpoints, flumen_names: Names, topic: str) -> Callable[[], list[ImageMessage]]:
    return lambda: published(flumen_stack.kafka, topic, flumen_names.group_id)


def test_mnist_arrives_as_it_is(
    run: Callable[..., Result], topic: str, received: Callable[[], list[ImageMessage]], tmp_path: Path
) -> None:
    drawn = read_idx(MNIST / "t10k-images-idx3-ubyte.gz")[:IMAGES]
    known = read_idx(MNIST / "t10k-labels-idx1-ubyte.gz")[:IMAGES]
    for name, values in (("images-idx3", drawn), ("labels-idx1", known)):
        with gzip.open(tmp_path / f"t10k-{name}-ubyte.gz", "wb") as file:
            file.write(
                struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()
            )
    result = run(tmp_path / "t10k-images-idx3-ubyte.gz", "--topic", topic, "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["topic"], summary["sent"], summary["failed"]) == (topic, IMAGES, 0)

    images = received()
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(image.content))) for image in images])
    labels = [image.known_label for image in images]
    np.testing.assert_array_equal(pixels, drawn)
    np.testing.assert_array_equal(labels, known)
    assert [image.id for image in images] == [f"t10k-images-{row:05d}" for row in range(IMAGES)]
    assert {image.source for image in images} == {"t10k-images-idx3-ubyte.gz"}
    assert {image.defect for image in images} == {None}
    assert images[42].name == "t10k-images-00042.png"


def folder(path: Path) -> Path:
    for name, content in ARTICLE.items():
        (path / "digits" / name).parent.mkdir(parents=True, exist_ok=True)
        (path / "digits" / name).write_bytes(content)
    return path / "digits"


def packed_zip(path: Path) -> Path:
    with zipfile.ZipFile(path / "digits.zip", "w") as archive:
        for name, content in ARTICLE.items():
            archive.writestr(name, content)
    return path / "digits.zip"


def packed_tar(path: Path) -> Path:
    with tarfile.open(path / "digits.tar.gz", "w:gz") as archive:
        archive.add(folder(path), arcname=".")
    return path / "digits.tar.gz"


@pytest.mark.parametrize("write", [folder, packed_zip, packed_tar])
def test_folders_and_archives_arrive_with_labels_from_names(
    write: Callable[[Path], Path],
    tmp_path: Path,
    run: Callable[..., Result],
    topic: str,
    received: Callable[[], list[ImageMessage]],
) -> None:
    path = write(tmp_path)
    result = run(path, "--topic", topic, "--label-from-name")
    assert result.exit_code == 0, result.output
    assert {image.id: (image.content, image.known_label) for image in received()} == {
        f"{path.name}/7_0001.png": (b"seven", 7),
        f"{path.name}/sub/0_0002.png": (b"zero", 0),
        f"{path.name}/sub/other.png": (b"other", None),
    }


def test_what_fails_is_told_at_the_end_and_the_rest_arrives(
    tmp_path: Path,
    run: Callable[..., Result],
    topic: str,
    received: Callable[[], list[ImageMessage]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")  # however long the path of a temporary folder is
    (tmp_path / "broken.zip").write_bytes(b"not a zip")
    (tmp_path / "fine.png").write_bytes(b"fine")
    result = run(tmp_path / "broken.zip", tmp_path / "fine.png", "--topic", topic, "--json")
    assert result.exit_code == 1
    assert "broken.zip' cannot be read: File is not a zip file" in " ".join(result.stderr.split())
    summary = json.loads(result.stdout)
    assert (summary["sent"], summary["failed"]) == (1, 1)
    assert [image.id for image in received()] == ["fine.png"]


def test_a_missing_path_is_told_before_anything_is_published(
    tmp_path: Path, run: Callable[..., Result], topic: str, received: Callable[[], list[ImageMessage]]
) -> None:
    (tmp_path / "fine.png").write_bytes(b"fine")
    result = run(tmp_path / "fine.png", tmp_path / "missing.png", "--topic", topic)
    assert isinstance(result.exception, SourceUnreadable)
    assert "missing.png' is neither a folder nor a file" in str(result.exception)
    assert received() == []


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "fast"])
def test_a_wrong_rate_is_wrong_usage(run: Callable[..., Result], rate: str) -> None:
    assert run("anything", "--rate", rate).exit_code == 2
