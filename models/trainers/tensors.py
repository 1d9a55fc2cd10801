"""What the ONNX file of every trainer has in common, and how images are seen where the data set does not say."""

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess

INPUT_TENSOR = "image"
OUTPUT_TENSOR = "probabilities"
EMBEDDING_TENSOR = "embedding"
"""An output beside it that the manifest names as the embedding, where the file has it."""
OPSET = 13
"""The lowest that has everything that networks of dense layers need: the widest choice of runtimes."""

THRESHOLD = 30
"""The article's: a grey value above it becomes 1.0, any other 0.0."""

GREY_DIMENSIONS = 3


def flat_preprocess(pixels: NDArray[np.uint8]) -> Preprocess:
    """Return the article's way to see grey images, binarised; of images in colour, values 0 to 1."""
    _, height, width = pixels.shape[:3]
    if pixels.ndim == GREY_DIMENSIONS:
        return Preprocess(width, height, threshold=THRESHOLD)
    return Preprocess(width, height, channels=3)


def valued_preprocess(pixels: NDArray[np.uint8], layout: str = "flat") -> Preprocess:
    """Return the way to see images as values 0 to 1, grey or in colour."""
    _, height, width = pixels.shape[:3]
    return Preprocess(width, height, channels=1 if pixels.ndim == GREY_DIMENSIONS else 3, layout=layout)
