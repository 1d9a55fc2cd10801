"""The sources of labelled images that are files: what they give, what they leave out, and where they go on."""

import csv
import io
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.decoding import decode_image
from flumen.models.datasets import files
from flumen.models.datasets.csv_list import CsvSource
from flumen.models.datasets.files import Decoding
from flumen.models.datasets.folder import FolderSource
from flumen.models.datasets.idx_files import IdxSource
from flumen.models.datasets.source import (
    EXAMPLES,
    NO_LABEL,
    OTHER_LABEL,
    OTHER_SIZE,
    OUTSIDE,
    UNDECODABLE,
    UNREADABLE,
    ImageBatch,
    ImageSource,
    Skip,
    Tally,
)
from flumen.models.errors import DatasetInvalid

GREY = Preprocess(8, 6)
COLOUR = Preprocess(8, 6, channels=3, resize="crop", crop=0.875)
RANDOM = np.random.default_rng(3)


def image(width: int = 8, height: int = 6, kind: str = "PNG", mode: str = "L") -> bytes:
    shape = (height, width) if mode == "L" else (height, width, 3)
    buffer = io.BytesIO()
    Image.fromarray(RANDOM.integers(0, 256, shape, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def write(folder: Path, name: str, content: bytes) -> bytes:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return content


def write_csv(folder: Path, columns: list[str], *rows: list[str]) -> Path:
    path = folder / "list.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def whole(source: ImageSource, position: str = "") -> ImageBatch:
    batches = list(source.scan(position))
    return ImageBatch(
        [each for batch in batches for each in batch.ids],
        [each for batch in batches for each in batch.groups],
        np.concatenate([batch.pixels for batch in batches]),
        np.concatenate([batch.labels for batch in batches]),
        batches[-1].position,
        [skip for batch in batches for skip in batch.skipped],
    )


def reasons(batch: ImageBatch) -> dict[str, str]:
    return {skip.id: skip.reason for skip in batch.skipped}


@pytest.mark.parametrize("preprocess", [GREY, COLOUR])
def test_a_folder_gives_what_the_live_path_sees(tmp_path: Path, preprocess: Preprocess) -> None:
    contents = [
        write(tmp_path, "cat/1.png", image()),
        write(tmp_path, "cat/deep/2.jpg", image(400, 300, "JPEG", "RGB")),
        write(tmp_path, "dog/1.bmp", image(20, 9, "BMP", "RGB")),
    ]
    write(tmp_path, "cat/.hidden", b"")
    source = FolderSource(tmp_path, Decoding(preprocess, processes=2))
    found = whole(source)

    assert source.labels == ("cat", "dog")
    assert list(found.ids) == ["cat/1.png", "cat/deep/2.jpg", "dog/1.bmp"] == list(found.groups)
    assert found.labels.tolist() == [0, 0, 1]
    assert found.labels.dtype == np.int32
    assert not found.skipped
    for pixels, content in zip(found.pixels, contents, strict=True):
        assert pixels.tobytes() == decode_image(content, Limits(), preprocess).raster


def test_what_a_folder_leaves_out_is_named(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(tmp_path, "secret.png", image())
    write(root, "a/good.png", image())
    write(root, "a/text.png", b"no image")
    write(root, "a/empty.png", b"")
    write(root, "a/large.png", image(60, 60))
    (root / "a/out.png").symlink_to(tmp_path / "secret.png")
    (root / "a/in.png").symlink_to(root / "a/good.png")
    (root / "a/gone.png").symlink_to(root / "a/nothing.png")
    (root / "a/again").symlink_to(root)
    (root / "b").symlink_to(tmp_path)
    found = whole(FolderSource(root, Decoding(GREY, Limits(max_image_pixels=3000))))

    assert list(found.ids) == ["a/good.png", "a/in.png"]
    assert reasons(found) == {
        "a/text.png": UNDECODABLE,
        "a/empty.png": UNDECODABLE,
        "a/large.png": UNDECODABLE,
        "a/out.png": OUTSIDE,
        "a/gone.png": UNREADABLE,
        "a/again": UNREADABLE,
        "b": OUTSIDE,
    }


def test_another_size_is_resized_or_left_out(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", image(8, 6))
    write(tmp_path, "a/2.png", image(6, 8))
    assert len(whole(FolderSource(tmp_path, Decoding(GREY)))) == 2
    found = whole(FolderSource(tmp_path, Decoding(GREY, any_size=False)))
    assert list(found.ids) == ["a/1.png"]
    assert [(skip.reason, skip.why) for skip in found.skipped] == [(OTHER_SIZE, "6x8")]


def test_files_are_read_in_batches_and_from_any_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        write(tmp_path, f"a/{number}.png", image() if number != 2 else b"broken")
    monkeypatch.setattr(files, "BATCH_IMAGES", 3)
    source = FolderSource(tmp_path, Decoding(GREY))
    batches = list(source.scan())
    assert [len(batch) for batch in batches] == [2, 3, 1]
    assert [batch.position for batch in batches] == ["3", "6", "7"]
    for number, batch in enumerate(batches):
        rest = [each for later in batches[number + 1 :] for each in later.ids]
        assert [each for later in source.scan(batch.position) for each in later.ids] == rest
    monkeypatch.setattr(files, "BATCH_BYTES", 1)
    assert [len(batch) for batch in source.scan()] == [1, 1, 0, 1, 1, 1, 1]
    with pytest.raises(DatasetInvalid, match="no position"):
        list(source.scan("x"))


def test_the_state_of_a_folder_changes_with_its_files(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", image())
    source = FolderSource(tmp_path, Decoding(GREY))
    before = source.state
    assert source.state == before
    write(tmp_path, "a/2.png", image())
    assert source.state != before


def test_what_may_be_read_or_decoded_otherwise_now_has_another_state(
    tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    write(tmp_path, "a/1.png", image())
    path = tmp_path / "a/1.png"
    listed = write_csv(tmp_path, ["path", "label"], ["a/1.png", "0"])
    sources: list[Callable[[Decoding], ImageSource]] = [
        lambda decoding: FolderSource(tmp_path, decoding),
        lambda decoding: CsvSource(listed, decoding),
    ]
    for source in sources:
        before, written = source(Decoding(GREY)).state, path.stat()
        assert source(Decoding(GREY)).state == before
        assert source(Decoding(GREY, Limits(max_image_bytes=100))).state != before
        wait_until(partial(_changed, path, written), "a clock that goes on")
        assert path.stat().st_mtime_ns == written.st_mtime_ns
        assert source(Decoding(GREY)).state != before


def _changed(path: Path, former: os.stat_result) -> bool:
    """Change a file, as copying another one of its size over it with its time does."""
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(former.st_atime_ns, former.st_mtime_ns))
    return path.stat().st_ctime_ns != former.st_ctime_ns


@pytest.mark.parametrize(
    ("name", "target"), [("b", "a"), ("b", "a/deep"), ("b", "."), ("0", "a/deep"), ("b", "a/deep/..")]
)
def test_two_class_folders_with_the_same_images_are_an_error(tmp_path: Path, name: str, target: str) -> None:
    write(tmp_path, "a/deep/1.png", image())
    (tmp_path / name).symlink_to(target)
    with pytest.raises(DatasetInvalid) as told:
        FolderSource(tmp_path, Decoding(GREY))
    assert "'a'" in str(told.value)
    assert f"'{name}'" in str(told.value)


def test_a_class_folder_may_link_to_images_that_are_no_other_class(tmp_path: Path) -> None:
    write(tmp_path, ".kept/1.png", image())
    write(tmp_path, "aa/1.png", image())
    (tmp_path / "a").symlink_to(".kept")
    assert list(whole(FolderSource(tmp_path, Decoding(GREY))).ids) == ["a/1.png", "aa/1.png"]


@pytest.mark.parametrize("kind", ["folder", "csv"])
def test_where_the_folder_is_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    for number in range(5):
        write(tmp_path, f"a/deep/{number}/1.png", image())
    rows = [[f"a/deep/{number}/1.png", "a"] for number in range(5)]
    root = tmp_path if kind == "folder" else write_csv(tmp_path, ["path", "label"], *rows)
    source: ImageSource = (FolderSource if kind == "folder" else CsvSource)(root, Decoding(GREY))
    asked: list[Path] = []
    resolved = os.path.realpath

    def noted(path: Path) -> str:
        asked.append(Path(path))
        return resolved(path)

    monkeypatch.setattr(os.path, "realpath", noted)
    assert len(whole(source).ids) == 5
    assert asked.count(tmp_path) == 1


def test_links_in_a_circle_and_folders_deeper_than_python_recurses_are_no_obstacle(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", image())
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "a/circle").symlink_to("circle")
    folder = os.open(tmp_path / "a", os.O_RDONLY)
    depth = sys.getrecursionlimit() + 100  # deeper than one path can name
    for _ in range(depth):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    source = FolderSource(tmp_path, Decoding(GREY))
    found = whole(source)
    assert source.labels == ("a",)
    assert list(found.ids) == ["a/1.png"]
    assert reasons(found)["a/circle"] == UNREADABLE
    subprocess.run(["rm", "-rf", tmp_path / "a/d"], check=True)  # pytest gives up on it


def test_large_pixels_are_fewer_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        write(tmp_path, f"a/{number}.pgm", image(kind="PPM"))
    monkeypatch.setattr(files, "BATCH_BYTES", 3 * 40 * 40 * 3)
    found = list(FolderSource(tmp_path, Decoding(Preprocess(40, 40, channels=3))).scan())
    assert [len(batch) for batch in found] == [3, 1]


@pytest.mark.parametrize("make", ["nothing", "a file", "no folders"])
def test_a_folder_without_classes_is_refused(tmp_path: Path, make: str) -> None:
    path = tmp_path / "data"
    if make == "a file":
        path.write_bytes(b"")
    elif make == "no folders":
        write(path, "1.png", image())
    with pytest.raises(DatasetInvalid, match=str(path)):
        FolderSource(path, Decoding(GREY))


def test_a_csv_list_with_ids_groups_and_names(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, f"in/{number}.png", image())
    listed = write_csv(
        tmp_path,
        ["group", "label", "path", "id", "more"],
        ["camera-1", "dog", "in/0.png", "first", "x"],
        ["camera-1", "cat", "in/1.png", "", "x"],
        ["", "dog", "in/2.png", "third", "x"],
    )
    source = CsvSource(listed, Decoding(GREY))
    found = whole(source)
    assert source.labels == ("cat", "dog")
    assert list(found.ids) == ["first", "in/1.png", "third"]
    assert list(found.groups) == ["camera-1", "camera-1", "third"]
    assert found.labels.tolist() == [1, 0, 1]
    assert CsvSource(listed, Decoding(GREY), ("dog", "cat", "cow")).labels == ("dog", "cat", "cow")


def test_what_a_csv_list_leaves_out_is_named(tmp_path: Path) -> None:
    write(tmp_path, "secret.png", image())
    write(tmp_path, "in/1.png", image())
    (tmp_path / "in/link.png").symlink_to(tmp_path / "secret.png")
    listed = write_csv(
        tmp_path / "in",
        ["path", "label", "id"],
        ["1.png", "3", "good"],
        ["../secret.png", "3", "up"],
        [str(tmp_path / "in/1.png"), "3", "absolute and inside"],
        [str(tmp_path / "secret.png"), "3", "absolute"],
        ["link.png", "3", "link"],
        ["1.png", "", "unlabelled"],
        ["1.png", "300", "too high"],
        ["", "3", "nowhere"],
        ["gone.png", "3", "gone"],
        [".", "3", "a folder"],
        ["x" * 5000, "3", "a long path"],
    )
    source = CsvSource(listed, Decoding(GREY))
    assert source.labels == ()
    found = whole(source)
    assert list(found.ids) == ["good", "absolute and inside"]
    assert found.labels.tolist() == [3, 3]
    assert reasons(found) == {
        "up": OUTSIDE,
        "absolute": OUTSIDE,
        "link": OUTSIDE,
        "unlabelled": NO_LABEL,
        "too high": OTHER_LABEL,
        "nowhere": UNREADABLE,
        "gone": UNREADABLE,
        "a folder": UNREADABLE,
        "a long path": UNREADABLE,
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"path,class\n1.png,3\n", "'label'"),
        (b"", "'path'"),
        (b"path,label\n\xff,3\n", "UTF-8"),
        (b"path,label\n" + b'"' + b"x" * 200_000 + b'",3\n', "no CSV"),
        (b"path,label\n" + b"".join(b"1.png,n%d\n" % number for number in range(257)), "256"),
    ],
)
def test_a_csv_file_that_is_none_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    write(tmp_path, "list.csv", content)
    with pytest.raises(DatasetInvalid, match=says):
        CsvSource(tmp_path / "list.csv", Decoding(GREY))
    with pytest.raises(DatasetInvalid, match="cannot be read"):
        CsvSource(tmp_path / "none.csv", Decoding(GREY))


@pytest.mark.parametrize("size", [None, Preprocess(5, 4, channels=3)])
def test_idx_files_as_they_are_and_resized(tmp_path: Path, size: Preprocess | None) -> None:
    pixels = RANDOM.integers(0, 256, (5, 6, 8), np.uint8)
    write(tmp_path, "some-images-idx3-ubyte", idx(pixels))
    write(tmp_path, "some-labels-idx1-ubyte", idx(np.array([1, 0, 7, 2, 1], np.uint8)))
    source = IdxSource(
        tmp_path / "some-images-idx3-ubyte",
        tmp_path / "some-labels-idx1-ubyte",
        size and Decoding(size),
        ("zero", "one", "two"),
    )
    found = whole(source)
    assert list(found.ids) == [f"some-images-{number:05d}" for number in (0, 1, 3, 4)]
    assert found.labels.tolist() == [1, 0, 2, 1]
    assert reasons(found) == {"some-images-00002": OTHER_LABEL}
    if size is None:
        np.testing.assert_array_equal(found.pixels, pixels[[0, 1, 3, 4]])
    else:
        assert found.pixels.shape == (4, 4, 5, 3)
    (rest,) = source.scan("3")
    assert len(rest) == 2


def test_a_tally_counts_all_and_names_a_few() -> None:
    tally = Tally()
    tally.add([Skip(UNDECODABLE, f"{number}", "why") for number in range(EXAMPLES + 2)])
    tally.add([Skip(NO_LABEL, "x")])
    first, second = tally.result()
    assert (first.reason, first.count, len(first.examples)) == (UNDECODABLE, EXAMPLES + 2, EXAMPLES)
    assert str(first).startswith("7 that cannot be decoded: 0 (why), 1 (why)")
    assert str(first).endswith(", ...")
    assert str(second) == "1 without a label: x"
