"""The images of an experiment: chosen once, fingerprinted, and in files for all processes to map."""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from flumen.interceptor.classifier import Preprocess
from flumen.models.datasets.arrays import lay_down
from flumen.models.datasets.dataset import Dataset, Labelled
from flumen.models.datasets.fingerprint import Fingerprint, canonical
from flumen.models.errors import ArraysUnwritable, DatasetInvalid
from flumen.models.experiments.grid import Data
from flumen.models.experiments.moment import moment_of
from flumen.models.trainers.tensors import THRESHOLD
from flumen.models.trainers.trainer import Trainer


@dataclass(frozen=True, slots=True)
class Images:
    """What every run of an experiment learns from and is tested on, and how it sees it.

    `sha256` is part of a run's key: it tells the data set's fingerprint, what of it is taken, and the preprocessing.
    `fingerprint`: what a model's manifest says of it. `snapshot_at`: the moment of images that stand in a table.
    """

    dataset: Dataset
    labels: tuple[str, ...]
    preprocess: Preprocess
    sha256: str
    fingerprint: Fingerprint
    snapshot_at: int | None = None

    def in_files(self, folder: Path) -> Path:
        """Return where the images are as `open_arrays` maps them: this empty folder, unless they are in files already.

        Raises:
            ArraysUnwritable: the folder is full, or cannot be written.
        """
        if self.dataset.arrays is not None:
            return self.dataset.arrays
        try:
            lay_down(self.dataset, folder)
        except OSError as error:
            raise ArraysUnwritable(
                f"the images cannot be laid down in {folder} for all processes to read: {error.strerror or error}. "
                "Make room there, or set TMPDIR to a folder that has some"
            ) from error
        return folder


def choose_images(dataset: Dataset, data: Data, trainer: Trainer) -> Images:
    """Return the images that a grid asks for.

    Raises:
        DatasetInvalid: there is none, or a label is missing.
    """
    preprocess = _preprocess(dataset, data, trainer)
    labels = dataset.labels or tuple(map(str, range(int(dataset.train.labels.max()) + 1)))
    chosen = dataset
    if data.train_images or data.test_images:
        train, test = _first(dataset.train, data.train_images), _first(dataset.test, data.test_images)
        chosen = replace(dataset, train=train, test=test, arrays=None, described=None)
    parts = [part for part in (chosen.train, chosen.validation, chosen.test) if part is not None]
    if any(not len(part.labels) or int(part.labels.max()) >= len(labels) for part in parts):
        raise DatasetInvalid(
            f"there are {len(labels)} labels, and an image has another one, or there are no images"
        )
    if len(labels) < 2:  # noqa: PLR2004 - nothing to tell apart
        raise DatasetInvalid(
            f"all {len(chosen.train.labels):,} images to learn from are of one class; to learn takes two, so select "
            "others as well"
        )
    if len(np.unique(chosen.train.labels)) < len(labels):
        raise DatasetInvalid(
            f"the images to learn from have {len(np.unique(chosen.train.labels))} of the {len(labels)} labels; "
            "take more"
        )
    # A fingerprint that was taken with the images tells all parts; another one those to learn from alone.
    prints = [part.sha256 for part in parts] if chosen.described is None else [chosen.described.sha256]
    told = canonical([*prints, labels, asdict(preprocess)])
    return Images(
        chosen,
        labels,
        preprocess,
        hashlib.sha256(told).hexdigest(),
        chosen.fingerprint,
        moment_of(data),
    )


def _first(part: Labelled, count: int | None) -> Labelled:
    if count is None:
        return part
    ids = None if part.ids is None else part.ids[:count]
    return Labelled(part.pixels[:count], part.labels[:count], ids)


def _preprocess(dataset: Dataset, data: Data, trainer: Trainer) -> Preprocess:
    own = dataset.preprocess or dataset.seen_by(trainer.preprocess(dataset.train.pixels))
    if data.preprocess == "own":
        return own
    return replace(own, threshold=THRESHOLD if data.preprocess == "binary" else None)
