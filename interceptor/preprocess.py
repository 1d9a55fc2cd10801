"""From decoded pixels to the classifier's input tensor, a whole batch at once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess

CALL_BYTES = 32 * 1024 * 1024
"""So much of a tensor goes to a model at once: what a network holds between its layers is many times as large."""


def calls(tensor: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yield a batch's tensor in order, in parts that are not over `CALL_BYTES`, or one image long."""
    rows = max(1, CALL_BYTES // max(1, tensor[:1].nbytes))
    for start in range(0, len(tensor), rows):
        yield tensor[start : start + rows]


def to_tensor(pixels: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.float32]:
    """Return what the classifier reads for these pixels.

    Args:
        pixels: uint8, n x height x width for one channel, n x height x width x 3 for three.
        preprocess: how the model was trained to see them.

    Returns:
        float32, C-contiguous: n x height * width * channels ("flat", in the order height, width, channel),
        n x channels x height x width ("nchw") or n x height x width x channels ("nhwc").

    Raises:
        ValueError: the pixels have another size than the model's, or the layout is unknown.
    """
    count = len(pixels)
    shape = (count, preprocess.height, preprocess.width, preprocess.channels)
    plain = shape[:3] if preprocess.channels == 1 else shape
    if pixels.shape != plain:
        raise ValueError(f"the model reads pixels of shape {plain}, not {pixels.shape}")
    tensor = _scaled(pixels.reshape(shape), preprocess)
    match preprocess.layout:
        case "flat":
            return tensor.reshape(count, -1) if count else tensor.reshape(0, int(np.prod(shape[1:])))
        case "nhwc":
            return tensor
        case "nchw":
            return np.ascontiguousarray(tensor.transpose(0, 3, 1, 2))
    raise ValueError(f"the layout {preprocess.layout!r} is unknown; it is one of flat, nchw, nhwc")


def _scaled(pixels: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.float32]:
    if preprocess.threshold is not None:
        return (pixels > preprocess.threshold).astype(np.float32)
    tensor = pixels.astype(np.float32)
    tensor *= np.float32(preprocess.scale)
    tensor -= np.asarray(preprocess.mean, dtype=np.float32)
    tensor /= np.asarray(preprocess.std, dtype=np.float32)
    return tensor
