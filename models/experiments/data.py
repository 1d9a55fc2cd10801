"""The images of an experiment: chosen once, fingerprinted, and laid down for all processes to map."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from flumen.interceptor.classifier import Preprocess
from flumen.models.datasets.dataset import Dataset, Labelled
from flumen.models.datasets.fingerprint import Fingerprint
from flumen.models.errors import DatasetInvalid
from flumen.models.experiments.grid import Data
from flumen.models.trainers.tensors import THRESHOLD
from flumen.models.trainers.trainer import Trainer

_PARTS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Images:
    """What every run of an experiment learns from and is tested on, and how it sees it.

    `sha256`: the fingerprint of all of it, also of what is kept apart and of the preprocessing; it is part of a run's
    key. `fingerprint`: of the images to learn from; `tested_sha256`: of those to test on.
    """

    train: Labelled
    validation: Labelled | None
    test: Labelled
    labels: tuple[str, ...]
    preprocess: Preprocess
    sha256: str
    fingerprint: Fingerprint
    tested_sha256: str


def choose_images(dataset: Dataset, data: Data, trainer: Trainer) -> Images:
    """Return the images that a grid asks for.

    Those that are kept apart are drawn from the ones to learn from, the same ones always.

    Raises:
        DatasetInvalid: there are not that many, or a label is missing.
    """
    train, validation = _first(dataset.train, data.train), dataset.validation
    if data.validation:
        if data.validation >= len(train.labels):
            raise DatasetInvalid(
                f"validation = {data.validation:,} of {len(train.labels):,} images leaves none to learn from; "
                "keep fewer apart"
            )
        apart = np.zeros(len(train.labels), bool)
        apart[np.random.default_rng(0).permutation(len(apart))[: data.validation]] = True
        train, validation = _rows(train, ~apart), _rows(train, apart)
    test = _first(dataset.test, data.test)
    labels = dataset.labels or tuple(map(str, range(int(dataset.train.labels.max()) + 1)))
    parts = [part for part in (train, validation, test) if part is not None]
    if any(not len(part.labels) or int(part.labels.max()) >= len(labels) for part in parts):
        raise DatasetInvalid(
            f"there are {len(labels)} labels, and an image has another one, or there are no images"
        )
    if len(np.unique(train.labels)) < len(labels):
        raise DatasetInvalid(
            f"the images to learn from have {len(np.unique(train.labels))} of the {len(labels)} labels; take more"
        )
    preprocess = _preprocess(dataset, data, trainer)
    prints = [part and part.sha256 for part in (train, validation, test)]
    told = json.dumps([*prints, labels, asdict(preprocess)])
    sha256 = hashlib.sha256(told.encode()).hexdigest()
    learnt = Dataset(train, test).fingerprint
    return Images(train, validation, test, labels, preprocess, sha256, learnt, str(prints[-1]))


def lay_down(images: Images, folder: Path) -> None:
    """Write the images as arrays into a folder."""
    for name in _PARTS:
        part: Labelled | None = getattr(images, name)
        if part is not None:
            np.save(folder / f"{name}-pixels.npy", part.pixels)
            np.save(folder / f"{name}-labels.npy", part.labels)


def map_part(folder: Path, name: str) -> Labelled | None:
    """Return a part that was laid down: memory that all processes share, and none can write. None if there is none."""
    pixels = folder / f"{name}-pixels.npy"
    if not pixels.exists():
        return None
    labels = np.load(folder / f"{name}-labels.npy", mmap_mode="r")
    return Labelled(np.load(pixels, mmap_mode="r"), labels)


def _first(part: Labelled, count: int | None) -> Labelled:
    return part if count is None else replace(part, pixels=part.pixels[:count], labels=part.labels[:count])


def _rows(part: Labelled, chosen: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Labelled:
    return Labelled(part.pixels[chosen], part.labels[chosen])


def _preprocess(dataset: Dataset, data: Data, trainer: Trainer) -> Preprocess:
    own = dataset.preprocess or trainer.preprocess(dataset.train.pixels)
    if data.preprocess == "own":
        return own
    return replace(own, threshold=THRESHOLD if data.preprocess == "binary" else None)
