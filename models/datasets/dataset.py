"""A labelled data set: images to learn from, to choose by and to test on; and that of the four IDX files of MNIST."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess
from flumen.models.datasets.counts import as_html
from flumen.models.datasets.fingerprint import Fingerprint, size_text
from flumen.models.datasets.idx import read_idx
from flumen.models.datasets.source import Skipped
from flumen.models.datasets.split import VALIDATION, Split, split_hashes
from flumen.models.errors import DatasetInvalid

IMAGE_DIMENSIONS = 3


@dataclass(frozen=True, slots=True)
class Labelled:
    """Images with their labels. `pixels`: uint8, n x height x width [x 3]. `labels`: uint8, n.

    Both may be mapped from files that cannot be written. `ids`: the images' ids, None where they are not known.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    ids: Sequence[str] | None = None

    @property
    def sha256(self) -> str:
        """A fingerprint of shape, pixels and labels: the same for the same images, compressed or not."""
        digest = hashlib.sha256(f"{self.pixels.shape}".encode())
        # Their own memory where it is in one piece: a copy would not be of bearable size for all.
        digest.update(np.ascontiguousarray(self.pixels).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()

    def only(self, chosen: NDArray[np.bool_]) -> "Labelled":
        """Return those of the images that are chosen: bool, n."""
        ids = self.ids and [self.ids[row] for row in np.flatnonzero(chosen).tolist()]
        return Labelled(self.pixels[chosen], self.labels[chosen], ids)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images to learn from, and others to test on.

    `validation` are images that decide when to stop and what is chosen, and are never learnt from. `labels` names the
    classes; without names they are called by their numbers. `preprocess` is how a model sees the images; None is the
    article's way, whatever their size. `skipped` is what was left out, by reason. `arrays` is the folder that holds all
    of it, to be opened by other processes (`flumen.models.datasets.arrays.open_arrays`); None where it is in memory.
    `picture` says how files became pixels of this size; `seen_by` makes it part of a model's preprocessing.
    """

    train: Labelled
    test: Labelled
    labels: tuple[str, ...] = ()
    preprocess: Preprocess | None = None
    validation: Labelled | None = None
    described: Fingerprint | None = None
    skipped: tuple[Skipped, ...] = ()
    arrays: Path | None = None
    picture: Preprocess | None = None

    def seen_by(self, preprocess: Preprocess) -> Preprocess:
        """Return a preprocessing that resizes images as these were, and else does what it does."""
        if self.picture is None:
            return preprocess
        same = ("width", "height", "channels", "resize", "crop", "fill", "resampling")
        return replace(preprocess, **{name: getattr(self.picture, name) for name in same})

    @property
    def fingerprint(self) -> Fingerprint:
        """What tells it from other data: its source's, or that of the images to learn from."""
        if self.described is not None:
            return self.described
        count = len(self.train.pixels)
        return Fingerprint(
            self.train.sha256, count, f"{count} images of {size_text(self.train.pixels.shape)}"
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return as_html(self)


def read_dataset(folder: str | os.PathLike[str]) -> Dataset:
    """Read `{train,t10k}-{images-idx3,labels-idx1}-ubyte`, each plain or with `.gz`, from a folder.

    Raises:
        IdxInvalid: a file is missing or damaged.
        DatasetInvalid: the files do not belong together.
    """
    root = Path(folder)
    train, test = (_with_ids(read_labelled(*idx_files(root, part)), part) for part in ("train", "t10k"))
    dataset = Dataset(train, test)
    if dataset.train.pixels.shape[1:] != dataset.test.pixels.shape[1:]:
        raise DatasetInvalid(f"the images to learn from and to test on in {root} have different sizes")
    return dataset


def with_validation(dataset: Dataset, share: float) -> Dataset:
    """Take images to choose by out of those to learn from: by the hash of their ids, else of MNIST's.

    Raises:
        DatasetInvalid: none is left to learn from, or to choose by.
    """
    if not share:
        return dataset
    images = dataset.train if dataset.train.ids else _with_ids(dataset.train, "train")
    ids = images.ids or ()
    chosen = Split(validation=share, test=0).sides(split_hashes(ids)) == VALIDATION
    if chosen.all() or not chosen.any():
        raise DatasetInvalid(
            f"of {len(ids):,} images {int(chosen.sum()):,} are to choose by; there have to be some, and "
            "some to learn from"
        )
    return replace(dataset, train=images.only(~chosen), validation=images.only(chosen))


def test_ids(test: Labelled) -> Sequence[str]:
    """Return the ids of the images to test on; where they are not known, what reports call them: by their place."""
    return test.ids or [f"test-{row:05d}" for row in range(len(test.labels))]


def _with_ids(images: Labelled, part: str) -> Labelled:
    """Return images with the ids under which `flumen produce` publishes those of an IDX file."""
    return replace(images, ids=[f"{part}-images-{row:05d}" for row in range(len(images.labels))])


def idx_files(folder: str | os.PathLike[str], part: str) -> tuple[Path, Path]:
    """Return the two files of a part, `train` or `t10k`: of the images and of their labels.

    Raises:
        DatasetInvalid: there is neither one nor the other form of them.
    """
    root = Path(folder)
    return _find(root / f"{part}-images-idx3-ubyte"), _find(root / f"{part}-labels-idx1-ubyte")


def read_labelled(images: Path, known: Path) -> Labelled:
    """Read two IDX files, of images and of their labels.

    Raises:
        IdxInvalid: a file is missing or damaged.
        DatasetInvalid: the files do not belong together.
    """
    pixels = read_idx(images)
    labels = read_idx(known)
    if pixels.ndim != IMAGE_DIMENSIONS or 0 in pixels.shape:
        raise DatasetInvalid(f"{images} holds values of shape {pixels.shape}, not n x height x width")
    if labels.shape != pixels.shape[:1]:
        raise DatasetInvalid(
            f"{images} has {len(pixels):,} images, and there are labels of shape {labels.shape}"
        )
    return Labelled(pixels, labels)


def _find(path: Path) -> Path:
    compressed = path.with_name(f"{path.name}.gz")
    try:
        found = next((file for file in (path, compressed) if file.is_file()), None)
    except OSError as error:
        raise DatasetInvalid(
            f"{path} cannot be read: {error.strerror}. Name the data set's folder with --data"
        ) from error
    if found is None:
        raise DatasetInvalid(
            f"there is neither {path} nor {compressed.name} beside it; name the data set's folder with --data"
        )
    return found
