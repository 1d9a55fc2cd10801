"""Is a model file safe to load, and what its manifest says? Asked at every load, cheap questions first.

Asked here, a file may take any time and memory: `flumen.models.processes.verifier` asks in a process of its own.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.answers import no_distributions, without_numbers
from flumen.interceptor.preprocess import CALL_BYTES, to_tensor
from flumen.models.errors import (
    GoldenMismatch,
    InferenceFailed,
    ModelCorrupt,
    ModelEmpty,
    ModelTooLarge,
    NotADistribution,
    NotFinite,
    NotRunnable,
    WrongLabelCount,
    WrongSignature,
)
from flumen.models.manifest import Manifest
from flumen.models.runtime import OnnxClassifier
from flumen.models.structure import check_structure

MAX_MODEL_BYTES = 512 * 1024 * 1024
GOLDEN_TOLERANCE = 1e-3
"""How far a probability may be from the manifest's: processors round differently, by far less than this."""

MAX_BATCH_S = 60.0
"""Seconds that a batch may take. Far more than a model should on a busy machine, and less than for ever."""

WARM_UP_SIZES = (1, 1000)
"""Images a batch, where nobody says how many there will be."""


def verify(
    content: bytes,
    manifest: Manifest,
    *,
    threads: int = 1,
    max_bytes: int = MAX_MODEL_BYTES,
    batch_sizes: Sequence[int] = WARM_UP_SIZES,
    throttle: Callable[[], None] = lambda: None,
) -> OnnxClassifier:
    """Check a model file against its manifest, load it and warm it up.

    Nothing of the file is run before its structure and its signature have passed.

    Args:
        content: the ONNX file, from anywhere.
        manifest: what it is said to be.
        threads: of ONNX Runtime, for one batch.
        max_bytes: the largest file to look into.
        batch_sizes: images a batch, to warm it up with.
        throttle: called between two steps; may take its time.

    Raises:
        ModelRefused: the subclass is the reason.
    """
    check_bytes(content, manifest, max_bytes)
    throttle()
    check_structure(content, manifest)
    throttle()
    classifier = OnnxClassifier(content, manifest, threads)
    throttle()
    check_golden(classifier)
    throttle()
    warm_up(classifier, batch_sizes, throttle=throttle)
    return classifier


def answer(
    content: bytes,
    manifest: Manifest,
    images: NDArray[np.uint8],
    *,
    throttle: Callable[[], None] = lambda: None,
) -> NDArray[np.float32]:
    """Check a file that has no golden images yet, and return its answers to these: float32, n x labels.

    `images`: uint8, n x height x width, or n x height x width x 3, at the model's size. `throttle` as in `verify`.

    Raises:
        ModelRefused: the subclass is the reason.
    """
    check_bytes(content, manifest)
    throttle()
    check_structure(content, manifest)
    throttle()
    classifier = OnnxClassifier(content, manifest)
    throttle()
    return checked_answers(classifier, to_tensor(images, manifest.input.preprocess))


def check_bytes(content: bytes, manifest: Manifest, max_bytes: int = MAX_MODEL_BYTES) -> None:
    """Check size and sha256.

    Raises:
        ModelTooLarge, ModelEmpty, ModelCorrupt.
    """
    check_size(content, f"the file of {manifest}", max_bytes)
    found = hashlib.sha256(content).hexdigest()
    if found != manifest.sha256:
        raise ModelCorrupt(
            f"the file of {manifest} has sha256 {found}, its manifest says {manifest.sha256}; it was damaged "
            "or replaced. Register the model again, as a new version"
        )


def check_size(content: bytes, source: str, max_bytes: int = MAX_MODEL_BYTES) -> None:
    """Check that there are bytes, and not too many. `source` is what the message calls the file.

    Raises:
        ModelTooLarge, ModelEmpty.
    """
    if len(content) > max_bytes:
        raise ModelTooLarge(f"{source} has more than {max_bytes:,} bytes, the largest size that is loaded")
    if not content:
        raise ModelEmpty(f"{source} is empty; register the model again")


def check_golden(classifier: OnnxClassifier) -> None:
    """Classify the manifest's golden images and compare the answers with the manifest's.

    Raises:
        NotRunnable, TooSlow, WrongLabelCount, NotFinite, NotADistribution, GoldenMismatch.
    """
    golden = classifier.manifest.golden
    found = checked_answers(classifier, _golden_tensor(classifier.manifest))
    expected = np.array([image.probabilities for image in golden])
    distance = np.abs(found - expected).max(axis=1)
    worst = int(distance.argmax())
    if distance[worst] > GOLDEN_TOLERANCE:
        raise GoldenMismatch(
            f"{classifier} answers golden image {worst} otherwise than when it was made: a probability "
            f"differs by {distance[worst]:.4f}, allowed is {GOLDEN_TOLERANCE}. The manifest belongs to "
            "another model, or its preprocessing has changed"
        )


def warm_up(
    classifier: OnnxClassifier,
    batch_sizes: Sequence[int] = WARM_UP_SIZES,
    *,
    throttle: Callable[[], None] = lambda: None,
) -> None:
    """Classify batches of the sizes to come, so that the first real one finds memory and kernels ready.

    `throttle` is called after each.

    Raises:
        NotRunnable, TooSlow, WrongLabelCount, NotFinite, NotADistribution.
    """
    tensor = _golden_tensor(classifier.manifest)
    for size in batch_sizes:
        # As large a part of such a batch as goes to the model at once; the whole of it need not fit into memory.
        rows = min(size, max(1, CALL_BYTES // tensor[:1].nbytes))
        checked_answers(classifier, np.take(tensor, np.arange(rows) % len(tensor), axis=0))
        throttle()


def checked_answers(
    classifier: OnnxClassifier, tensor: NDArray[np.float32], limit_s: float = MAX_BATCH_S
) -> NDArray[np.float32]:
    """Classify a tensor within so many seconds and make sure that the answers are probabilities: float32, n x labels.

    Raises:
        NotRunnable, TooSlow, WrongLabelCount, NotFinite, NotADistribution.
    """
    embeddings = None
    try:
        if classifier.embedding_size is None:
            found = classifier.probabilities(tensor, limit_s)
        else:
            found, embeddings = classifier.with_embeddings(tensor, limit_s)
    except InferenceFailed as error:
        raise NotRunnable(str(error)) from error
    if found.shape != (len(tensor), len(classifier.labels)):
        raise WrongLabelCount(
            f"{classifier} answers {len(tensor)} images with an output of shape {found.shape}; its manifest "
            f"has {len(classifier.labels)} labels"
        )
    if without_numbers(found).any():
        raise NotFinite(
            f"{classifier} answers golden images with NaN or infinity. Look for weights that left the range of "
            "numbers in training, and for a division by zero in the network"
        )
    if no_distributions(found).any():
        raise NotADistribution(
            f"{classifier} answers golden images with values that are not probabilities: from "
            f"{found.min():.4g} to {found.max():.4g}, with sums up to {found.sum(axis=1).max():.4g}. End the "
            "network with a softmax"
        )
    if embeddings is not None:
        _check_embeddings(classifier, embeddings, len(tensor))
    return found


def _check_embeddings(classifier: OnnxClassifier, found: NDArray[np.float32], images: int) -> None:
    size = classifier.embedding_size
    if found.shape != (images, size):
        raise WrongSignature(
            f"{classifier} gives {images} images embeddings of shape {found.shape}; its file says {size} dimensions"
        )
    if not np.isfinite(found).all():
        raise NotFinite(
            f"{classifier} gives golden images embeddings with NaN or infinity. Name an output that stays within the "
            "range of numbers, or none"
        )


def _golden_tensor(manifest: Manifest) -> NDArray[np.float32]:
    preprocess = manifest.input.preprocess
    shape = (len(manifest.golden), preprocess.height, preprocess.width)
    pixels = np.frombuffer(b"".join(image.pixels for image in manifest.golden), dtype=np.uint8)
    return to_tensor(pixels.reshape(shape if preprocess.channels == 1 else (*shape, -1)), preprocess)
