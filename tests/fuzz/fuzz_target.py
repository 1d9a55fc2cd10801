"""What is fuzzed: one image's bytes through decode, statistics and metadata, as a worker does it.

Where a plain image is decoded without Pillow's plugins, that is held to what they make of it.
"""

import math
import warnings
from typing import Any

from flumen.interceptor import Batch, Context, ImageMessage, Limits, Preprocess, intercept
from flumen.interceptor.columns import Column
from flumen.interceptor.decode import Decode
from flumen.interceptor.decoding import decode_plain, open_image
from flumen.interceptor.metadata.step import Metadata
from flumen.interceptor.statistics.step import Statistics

CHAIN = (Decode(), Statistics(), Metadata())
COLUMNS: tuple[Column, ...] = tuple(column for step in CHAIN for column in step.columns)

# A header changed to a large size costs time and finds nothing: limits have tests of their own.
LIMITS = Limits(max_image_bytes=100_000, max_image_pixels=100_000, max_image_frames=100)


class Model:
    """All that decoding asks of a model."""

    name, version, labels = "none", 1, ("none",)
    preprocess = Preprocess(width=28, height=28)

    def probabilities(self, tensor: Any) -> Any:
        raise AssertionError("the chain has no step that classifies")


CONTEXT = Context(Model(), 1_700_000_000_000_000, LIMITS)


def run_one(content: bytes) -> bool:
    """Send one image through; return whether it was decoded. Any exception is a finding."""
    if not content:
        return False
    image = ImageMessage("fuzzed", content, CONTEXT.classified_at)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = intercept(Batch([image]), CONTEXT, CHAIN)
        assert_as_pillow_has_it(content)
    assert len(result.oks) + len(result.errs) == 1
    for reject in result.errs:
        assert "; " in str(reject.error), "a rejection says what to do"
    for column in COLUMNS:
        for value in result.oks.columns.get(column.name, ()):
            assert not isinstance(value, float) or math.isfinite(value), column.name
            if isinstance(value, str):
                assert len(value.encode()) <= 32_766, column.name
    return bool(len(result.oks))


def assert_as_pillow_has_it(content: bytes) -> None:
    plain = decode_plain(content, LIMITS, Model.preprocess)
    if plain is None:
        return
    whole = open_image(content, LIMITS).decode(Model.preprocess)
    assert (plain.format, plain.width, plain.height) == (whole.format, whole.width, whole.height)
    assert (plain.raster, plain.metadata) == (whole.raster, whole.metadata)
    assert plain.view.shape == whole.view.shape
    assert plain.view.tobytes() == whole.view.tobytes()
