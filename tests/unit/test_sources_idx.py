import gzip
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from flumen.streams.errors import SourceUnreadable
from flumen.streams.publishing.sources import SourceOptions, count_images, find_files, read_images
from flumen.streams.wire import SourceImage

MNIST = Path(__file__).parents[2] / "data" / "mnist"
PIXELS = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([7, 0, 255], dtype=np.uint8)


def refuse(error: SourceUnreadable) -> None:
    raise AssertionError(error)


def write(path: Path, values: NDArray[np.uint8]) -> Path:
    header = b"\0\0\x08" + bytes([values.ndim]) + b"".join(size.to_bytes(4) for size in values.shape)
    content = header + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def read(path: Path, labels: Path | None = None) -> tuple[list[SourceImage], list[str]]:
    told: list[SourceUnreadable] = []
    files = find_files([path], told.append)
    images = list(read_images(files, SourceOptions(labels=labels), told.append))
    return images, [str(error) for error in told]


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("t-images-idx3-ubyte.gz", "t-labels-idx1-ubyte.gz"),
        ("t-images-idx3-ubyte", "t-labels-idx1-ubyte"),
        ("t-images-idx3-ubyte.gz", "t-labels-idx1-ubyte"),
        ("t-images-idx3-ubyte", "t-labels-idx1-ubyte.gz"),
        ("t-images.idx3-ubyte", "t-labels.idx1-ubyte"),
        ("t-images.idx", "t-labels.idx"),
        ("T-images.IDX3", "T-labels.IDX3"),
    ],
)
def test_images_are_read_with_the_labels_beside_them(tmp_path: Path, name: str, beside: str) -> None:
    path = write(tmp_path / name, PIXELS)
    write(tmp_path / beside, LABELS)
    images, told = read(path)
    assert told == []
    stem = name[:8]
    assert [(image.id, image.name, image.known_label, image.source) for image in images] == [
        (f"{stem}-00000", f"{stem}-00000.png", 7, name),
        (f"{stem}-00001", f"{stem}-00001.png", 0, name),
        (f"{stem}-00002", f"{stem}-00002.png", 255, name),
    ]
    for image, pixels in zip(images, PIXELS, strict=True):
        assert image.content_type == "image/png"
        np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(image.content))), pixels)


def swap(path: Path) -> None:
    """Compress a file that is plain, and the other way round, under the name that it has."""
    content = path.read_bytes()
    packed = content.startswith(b"\x1f\x8b")
    path.write_bytes(gzip.decompress(content) if packed else gzip.compress(content))


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("swapped", [("images-idx3",), ("labels-idx1",), ("images-idx3", "labels-idx1")])
def test_a_name_may_be_wrong_about_the_packing(tmp_path: Path, ending: str, swapped: tuple[str, ...]) -> None:
    write(tmp_path / f"t-images-idx3-ubyte{ending}", PIXELS)
    write(tmp_path / f"t-labels-idx1-ubyte{ending}", LABELS)
    for part in swapped:
        swap(tmp_path / f"t-{part}-ubyte{ending}")
    files = find_files([tmp_path], refuse)
    assert count_images(files) == len(PIXELS)
    images = list(read_images(files, SourceOptions(), refuse))
    assert [image.known_label for image in images] == [7, 0, 255]


def test_plain_files_under_a_packed_name_are_read(tmp_path: Path) -> None:
    folder = Path(__file__).parents[1] / "data" / "sources"
    path = folder / "plain-t10k-images-idx3-ubyte.gz"
    files = find_files([path], refuse)
    for labels in (None, folder / "plain-t10k-labels-idx1-ubyte.gz"):
        images = list(read_images(files, SourceOptions(labels=labels), refuse))
        assert len(images) == count_images(files) == 5
        assert [image.known_label for image in images] == [0, 1, 2, 3, 4]


def test_images_without_labels_are_read(tmp_path: Path) -> None:
    images, told = read(write(tmp_path / "some.idx", PIXELS))
    assert ([image.known_label for image in images], told) == ([None] * 3, [])


def test_labels_can_be_given(tmp_path: Path) -> None:
    path = write(tmp_path / "t-images-idx3-ubyte", PIXELS)
    write(tmp_path / "t-labels-idx1-ubyte", LABELS)
    images, told = read(path, labels=write(tmp_path / "other", LABELS[::-1].copy()))
    assert ([image.known_label for image in images], told) == ([255, 0, 7], [])


def test_labels_without_one_idx_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    with pytest.raises(SourceUnreadable, match="belong to one IDX file of images, not to 0"):
        read(path, labels=write(tmp_path / "labels", LABELS))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (LABELS[:2], "has 2 labels for 3 images"),
        (PIXELS, "has 3 dimensions; images have 3 and labels 1"),
    ],
)
def test_labels_that_do_not_belong_are_told(tmp_path: Path, labels: NDArray[np.uint8], reason: str) -> None:
    path = write(tmp_path / "t-images-idx3-ubyte", PIXELS)
    images, [told] = read(path, labels=write(tmp_path / "other", labels))
    assert images == []
    assert reason in told


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0",
        b"not idx at all",
        b"\0\0\x08\x03\xff\xff\xff\xff\0\0\0\x1c\0\0\0\x1c",
        b"\0\0\x0d\x03\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\0",
        b"\0\0\x08\x02\0\0\0\x01\0\0\0\x01\x07",
        b"\0\0\x08\x03\0\0\0\x01\0\0\0\x00\0\0\0\x01",
    ],
)
@pytest.mark.parametrize("name", ["bad-ubyte", "bad-ubyte.gz"])
def test_a_damaged_file_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    images, told = read(path)
    assert images == []
    assert [name in reason for reason in told] == [True]


def test_a_file_cut_short_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.idx.gz", PIXELS)
    path.write_bytes(path.read_bytes()[:-9])
    assert read(path)[0] == []
    assert len(read(path)[1]) == 1


def test_mnist_is_read_from_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        shutil.copy(MNIST / name, folder)
    assert count_images(find_files([folder], refuse)) == 10_000
    images, told = read(folder)
    assert told == []
    assert len(images) == 10_000
    assert [image.known_label for image in images[:5]] == [7, 2, 1, 0, 4]
    assert (images[42].id, images[42].source) == ("mnist/t10k-images-00042", "mnist")


def test_a_name_that_cannot_be_sent_is_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    write(folder / "t\n\udcff-images.idx", PIXELS)
    images, told = read(folder)
    assert told == []
    assert [image.id for image in images] == [rf"digits/t\n\udcff-images-{row:05d}" for row in range(3)]
    assert images[0].name == r"t\n\udcff-images-00000.png"
