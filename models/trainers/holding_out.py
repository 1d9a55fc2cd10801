"""Taking a validation part out of the images to learn from, by a hash of each image."""

import hashlib
from dataclasses import replace

import numpy as np

from flumen.models.datasets.dataset import Dataset, Labelled
from flumen.models.errors import DatasetInvalid

_RANGE = 2**64


def hold_out(dataset: Dataset, share: float) -> Dataset:
    """Return the data set with about this share of the images to learn from as its validation part.

    An image goes there whose BLAKE2b of 8 bytes over its pixels, as a big-endian number divided by 2**64, is below
    the share: so it stays on its side whatever else is there, equal images stay together, and a larger share takes more
    images and gives none back. Nothing changes with a share of 0, or where the data set has a validation part already.

    Raises:
        DatasetInvalid: the share is not from 0 up to 1, or leaves a side empty.
    """
    if not 0 <= share < 1:
        raise DatasetInvalid(f"a share of {share} of the images to choose by: it has to be from 0 up to 1")
    if not share or dataset.validation is not None:
        return dataset
    pixels, labels = dataset.train.pixels, dataset.train.labels
    digests = b"".join(hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in pixels)
    held = np.frombuffer(digests, ">u8") < np.uint64(int(share * _RANGE))
    if held.all() or not held.any():
        raise DatasetInvalid(
            f"of {len(pixels):,} images to learn from, a share of {share} to choose by takes {int(held.sum()):,}; "
            "choose another share, or have more images"
        )
    return replace(
        dataset,
        train=Labelled(pixels[~held], labels[~held]),
        validation=Labelled(pixels[held], labels[held]),
    )


def balanced_weights(labelled: Labelled) -> tuple[float, ...]:
    """Return for each label how much one image of it has to count for all labels to count alike: n / (labels * images).

    Labels are 0, 1, 2, ..., each there at least once.
    """
    counts = np.bincount(labelled.labels)
    return tuple((len(labelled.labels) / (len(counts) * counts)).tolist())
