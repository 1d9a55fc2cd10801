"""Data sets as mapped arrays: the same data give the same files, and nothing half-written is ever found."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flumen.interceptor import Preprocess
from flumen.models.datasets.array_cache import ArrayCache
from flumen.models.datasets.arrays import DESCRIPTION, open_arrays
from flumen.models.datasets.dataset import Dataset, Labelled, read_dataset, with_validation
from flumen.models.datasets.fingerprint import content_hash, content_hashes
from flumen.models.datasets.source import REPEATED, ImageBatch, Skip
from flumen.models.datasets.split import TRAIN, VALIDATION, Split, split_hashes
from flumen.models.errors import ArraysUnwritable, DatasetInvalid


@dataclass
class Drawn:
    """A source in memory: `count` images of 4x3, cut into batches, in an order of its own."""

    count: int = 300
    batch: int = 64
    order: int = 0
    classes: int = 3
    labels: tuple[str, ...] = ()
    state: str = "now"
    preprocess: Preprocess = field(default_factory=lambda: Preprocess(4, 3, resize="pad", fill=7))
    repeated: int = 0
    text: str = "tests"
    selection: Mapping[str, Any] = field(default_factory=dict)
    scans: int = 0

    def rows(self) -> np.ndarray:
        order = np.random.default_rng(self.order).permutation(self.count)
        return np.concatenate([order, order[: self.repeated]])

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        return np.stack([np.random.default_rng([row, 1]).integers(0, 256, (3, 4), np.uint8) for row in rows])

    def scan(self, position: str = "") -> Iterator[ImageBatch]:
        self.scans += 1
        rows = self.rows()
        for start in range(0, len(rows), self.batch):
            part = rows[start : start + self.batch]
            ids = [f"image-{row}" for row in part]
            groups = [f"camera-{row % 40}" for row in part]
            labels = (part % self.classes).astype(np.int32)
            skipped = [Skip("without a label", f"none-{start}")]
            yield ImageBatch(ids, groups, self.pixels(part), labels, str(start), skipped)


def parts(dataset: Dataset) -> list[Labelled]:
    assert dataset.validation is not None
    return [dataset.train, dataset.validation, dataset.test]


def test_the_arrays_hold_what_the_source_gave_each_on_its_side(tmp_path: Path) -> None:
    source = Drawn(labels=("a", "b", "c"))
    split = Split(0.25, 0.25)
    dataset = ArrayCache(tmp_path).dataset(source, split)
    seen = []
    for side, part in enumerate(parts(dataset)):
        assert part.ids is not None
        rows = np.array([int(image_id.removeprefix("image-")) for image_id in part.ids])
        assert len(rows) == len(part.pixels) == len(part.labels) > 0
        np.testing.assert_array_equal(part.pixels, source.pixels(rows))
        np.testing.assert_array_equal(part.labels, rows % 3)
        assert part.pixels.dtype == part.labels.dtype == np.uint8
        assert not part.pixels.flags.writeable
        assert set(split.sides(split_hashes([f"camera-{row % 40}" for row in rows])).tolist()) == {side}
        seen += rows.tolist()
    assert sorted(seen) == list(range(source.count))
    assert dataset.labels == ("a", "b", "c")
    assert dataset.preprocess is None
    (skipped,) = dataset.skipped
    assert (skipped.reason, skipped.count) == ("without a label", 5)
    assert dataset.fingerprint.rows == 300
    assert dataset.fingerprint.text == "300 images of 4x3 from tests, 3 classes"
    wanted = Preprocess(4, 3, threshold=30, layout="nchw", resize="pad", fill=7)
    assert dataset.seen_by(Preprocess(9, 9, threshold=30, layout="nchw")) == wanted


def test_the_order_of_arrival_changes_nothing(tmp_path: Path) -> None:
    one = ArrayCache(tmp_path / "one").dataset(Drawn(), Split(0.2, 0.2))
    other = ArrayCache(tmp_path / "other").dataset(Drawn(order=5, batch=7, state="later"), Split(0.2, 0.2))
    assert one.fingerprint == other.fingerprint
    for first, second in zip(parts(one), parts(other), strict=True):
        assert first.sha256 == second.sha256
        assert first.ids is not None
        assert second.ids is not None
        assert list(first.ids) == list(second.ids)


@pytest.mark.parametrize(
    "change",
    [
        {"count": 299},
        {"classes": 2},
        {"selection": {"where": "x"}},
        {"labels": ("a", "b", "c")},
        {"preprocess": Preprocess(4, 3)},
    ],
)
def test_other_data_have_another_fingerprint(tmp_path: Path, change: dict[str, Any]) -> None:
    cache, split = ArrayCache(tmp_path), Split(0.2, 0.2)
    one = cache.dataset(Drawn(), split)
    other = cache.dataset(replace(Drawn(state="changed"), **change), split)
    assert one.fingerprint.sha256 != other.fingerprint.sha256
    assert one.fingerprint.sha256 != cache.dataset(Drawn(), Split(0.2, 0.21)).fingerprint.sha256


IMAGES = st.lists(st.tuples(st.text(), st.text(), st.integers(0, 255), st.binary(min_size=2, max_size=2)))


def content(images: list[tuple[str, str, int, bytes]]) -> str:
    found = []
    for start in range(0, len(images), 3):
        ids, groups, labels, pixels = zip(*images[start : start + 3], strict=True)
        values = np.frombuffer(b"".join(pixels), np.uint8).reshape(-1, 1, 2)
        found.append(content_hashes(ImageBatch(ids, groups, values, np.array(labels, np.int32), "")))
    return content_hash(found)


@given(IMAGES, st.randoms(use_true_random=False))
def test_the_content_is_hashed_whatever_its_order(images: Any, random: Any) -> None:
    mixed = list(images)
    random.shuffle(mixed)
    assert content(mixed) == content(images)


@given(IMAGES.filter(bool), IMAGES.filter(bool))
def test_other_content_has_another_hash(images: Any, others: Any) -> None:
    assert (content(images) == content(others)) == (sorted(images) == sorted(others))


def test_an_entry_is_made_once_for_each_state(tmp_path: Path) -> None:
    source, cache = Drawn(), ArrayCache(tmp_path)
    first = cache.dataset(source, Split())
    again = cache.dataset(source, Split())
    assert source.scans == 1
    assert first.arrays == again.arrays
    source.state = "later"
    cache.dataset(source, Split())
    assert source.scans == 2
    sha256 = first.train.sha256
    damaged = first.arrays / "train.pixels"  # type: ignore[operator]
    os.truncate(damaged, damaged.stat().st_size - 1)
    source.state = "now"
    assert cache.dataset(source, Split()).train.sha256 == sha256
    assert source.scans == 3


def test_the_same_data_read_again_take_no_more_room(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    first, again, other = (
        cache.dataset(Drawn(state=state, count=count), Split())
        for state, count in (("a", 300), ("b", 300), ("c", 200))
    )
    for dataset, links in ((first, 2), (again, 2), (other, 1)):
        assert dataset.arrays is not None
        files = list(dataset.arrays.iterdir())
        assert len(files) == 10
        assert {file.stat().st_nlink for file in files} == {links}
    assert again.train.sha256 == first.train.sha256


def test_the_ones_not_used_for_longest_go(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    first, second = (cache.dataset(Drawn(selection={"where": state}), Split()) for state in "ab")
    assert first.arrays is not None
    assert second.arrays is not None
    size = sum(path.stat().st_size for path in first.arrays.iterdir())
    os.utime(first.arrays, (1, 1))
    small = ArrayCache(tmp_path, max_bytes=2 * size)
    small.dataset(Drawn(selection={"where": "c"}), Split())
    assert not first.arrays.exists()
    assert second.arrays.exists()
    # What is mapped stays readable.
    assert first.train.labels.sum() >= 0
    kept = ArrayCache(tmp_path, max_bytes=0).dataset(Drawn(selection={"where": "d"}), Split())
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [kept.arrays.name]  # type: ignore[union-attr]


class Broken(Drawn):
    def scan(self, position: str = "") -> Iterator[ImageBatch]:
        yield next(super().scan())
        raise DatasetInvalid("the source broke")


def test_what_was_left_unfinished_is_removed(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match="broke"):
        ArrayCache(tmp_path).dataset(Broken(), Split())
    left = tmp_path / "0123.making"
    left.mkdir()
    (left / "arrived").write_bytes(b"x")
    dataset = ArrayCache(tmp_path).dataset(Drawn(), Split())
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [dataset.arrays.name]  # type: ignore[union-attr]


TWO = """
import sys, time
from pathlib import Path
from tests.unit.test_dataset_arrays import Drawn
from flumen.models.datasets.array_cache import ArrayCache
from flumen.models.datasets.split import Split
source = Drawn()
print(ArrayCache(Path(sys.argv[1])).dataset(source, Split()).fingerprint.sha256, source.scans)
"""


def test_two_processes_at_once_make_it_once(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    both = [
        subprocess.Popen(
            [sys.executable, "-c", TWO, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    answers = [process.communicate()[0].split() for process in both]
    assert len({sha256 for sha256, _ in answers}) == 1
    assert sorted(scans for _, scans in answers) == ["0", "1"]


KILLED = """
import sys
from pathlib import Path
from tests.unit.test_dataset_arrays import Drawn
from flumen.models.datasets.array_cache import ArrayCache
from flumen.models.datasets.split import Split
class Waiting(Drawn):
    def scan(self, position=""):
        yield next(super().scan())
        print("half", flush=True)
        sys.stdin.read()
ArrayCache(Path(sys.argv[1])).dataset(Waiting(), Split())
"""


def test_what_a_killed_process_was_making_is_made_by_the_next(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        assert [path.suffix for path in tmp_path.iterdir() if path.is_dir()] == [".making"]
        # Beside it, another entry is made, and what is being made stays.
        ArrayCache(tmp_path).dataset(Drawn(state="other"), Split())
        assert list(tmp_path.glob("*.making"))
        process.kill()
    dataset = ArrayCache(tmp_path).dataset(Drawn(), Split())
    assert len(dataset.train.labels) > 0
    assert not list(tmp_path.glob("*.making"))


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    """Files of this process may have so many bytes: the system's answer is an OSError, as that of a full disk."""
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, allowed[1]))
    try:
        with pytest.raises(ArraysUnwritable, match="FLUMEN_CACHE"):
            ArrayCache(tmp_path).dataset(Drawn(), Split())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArraysUnwritable):
        ArrayCache(tmp_path / "file").dataset(Drawn(), Split())


@pytest.mark.parametrize(
    ("source", "split", "says"),
    [
        (Drawn(classes=1), Split(), "one class, '0'"),
        (Drawn(count=40), Split(1e-9, 0.5), "of 40 images none is in the part 'validation'"),
        (Drawn(count=40), Split(0.5, 0), "'test'"),
        (Drawn(count=40), Split(0, 1 - 1e-9), "'train'"),
    ],
)
def test_data_that_teach_nothing_are_refused(tmp_path: Path, source: Drawn, split: Split, says: str) -> None:
    with pytest.raises(DatasetInvalid, match=says):
        ArrayCache(tmp_path).dataset(source, split)


class Empty(Drawn):
    def scan(self, position: str = "") -> Iterator[ImageBatch]:
        nothing = np.empty((0, 3, 4), np.uint8)
        yield ImageBatch([], [], nothing, np.empty(0, np.int32), "1", [Skip("without a label", "x")])


def test_nothing_at_all_is_refused_and_says_what_was_left_out(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match="1 without a label: x"):
        ArrayCache(tmp_path).dataset(Empty(), Split())


@dataclass
class Contested(Drawn):
    """Two images have one id: which of them comes first, `first` says."""

    first: int = 0

    def scan(self, position: str = "") -> Iterator[ImageBatch]:
        for row in (self.first, 1 - self.first):
            yield ImageBatch(["one"], ["one"], self.pixels(np.array([row])), np.array([0], np.int32), "")
        yield from super().scan(position)


def test_of_two_images_of_one_id_the_fingerprint_tells_which_is_kept(tmp_path: Path) -> None:
    found = [ArrayCache(tmp_path).dataset(Contested(state=f"{row}", first=row), Split()) for row in (0, 1)]
    assert {part.sha256 for part in parts(found[0])} != {part.sha256 for part in parts(found[1])}
    assert found[0].fingerprint.sha256 != found[1].fingerprint.sha256


def test_more_classes_than_a_byte_counts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match="257 names of classes, and 256"):
        ArrayCache(tmp_path).dataset(Drawn(labels=tuple(map(str, range(257)))), Split())


def test_an_id_that_comes_twice_counts_once(tmp_path: Path) -> None:
    dataset = ArrayCache(tmp_path).dataset(Drawn(repeated=3, batch=1000), Split())
    assert {each.reason: each.count for each in dataset.skipped} == {REPEATED: 3, "without a label": 1}
    assert dataset.fingerprint.rows == 300


def test_no_validation_part_is_none(tmp_path: Path) -> None:
    assert ArrayCache(tmp_path).dataset(Drawn(), Split(0, 0.2)).validation is None


def test_a_folder_that_is_no_whole_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match="no whole"):
        open_arrays(tmp_path)
    (tmp_path / DESCRIPTION).write_text('{"schema": 99}')
    with pytest.raises(DatasetInvalid, match="newer"):
        open_arrays(tmp_path)


@settings(max_examples=20)
@given(st.integers(-300, 300), st.slices(300))
def test_ids_are_a_sequence(tmp_path_factory: Any, index: int, part: slice) -> None:
    ids = STORED or STORED.append(
        ArrayCache(tmp_path_factory.mktemp("ids")).dataset(Drawn(), Split()).train.ids
    )
    ids = STORED[0]
    plain = list(ids)
    assert ids[part] == plain[part]
    if -len(plain) <= index < len(plain):
        assert ids[index] == plain[index]
    else:
        with pytest.raises(IndexError):
            ids[index]


STORED: list[Any] = []


def test_idx_files_keep_their_fingerprint(mnist: Path) -> None:
    dataset = read_dataset(mnist)
    assert dataset.fingerprint.sha256 == dataset.train.sha256
    assert dataset.fingerprint.text == "60000 images of 28x28"


def test_idx_files_are_split_by_the_ids_under_which_they_are_published(mnist: Path) -> None:
    whole = read_dataset(mnist)
    dataset = with_validation(whole, 0.1)
    assert dataset.validation is not None
    assert with_validation(whole, 0) is whole
    for side, part in ((TRAIN, dataset.train), (VALIDATION, dataset.validation)):
        assert part.ids is not None
        assert set(Split(0.1, 0).sides(split_hashes(part.ids)).tolist()) == {side}
        rows = [int(image_id.removeprefix("train-images-")) for image_id in part.ids]
        np.testing.assert_array_equal(part.pixels, whole.train.pixels[rows])
        np.testing.assert_array_equal(part.labels, whole.train.labels[rows])
    assert len(dataset.train.labels) + len(dataset.validation.labels) == 60_000
    assert dataset.test is whole.test
    with pytest.raises(DatasetInvalid, match="to choose by"):
        with_validation(whole, 1e-9)
