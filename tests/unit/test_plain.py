"""What is read of plain files without Pillow's plugins is what they would have read: pixels, verdict and words."""

import pickle
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from images import batch, context, encoded
from PIL import Image
from plain_files import FILES, GREY, LONG, NOT_PLAIN, PLAIN, changed_files

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.decode import Decode
from flumen.interceptor.decoding import Decoded, decode_image, decode_plain, open_image
from flumen.interceptor.errors import Unclassifiable
from flumen.interceptor.pgm import netpbm_header
from flumen.interceptor.plain_pixels import GreyOfModelsSize, plain_within
from flumen.interceptor.reasons import about

# Pillow warns of what it reads all the same; `Decode` keeps that from standard error.
pytestmark = pytest.mark.filterwarnings("ignore")

LIMITS = Limits(max_image_pixels=100_000)
MODELS = (
    Preprocess(width=28, height=28),
    Preprocess(width=20, height=16, channels=3, resize="pad"),
    Preprocess(width=9, height=9, resampling="nearest", resize="crop"),
    Preprocess(width=28, height=28, resize="crop", crop=0.8),
)


def by_pillow(content: bytes, preprocess: Preprocess, limits: Limits = LIMITS) -> Decoded | Unclassifiable:
    try:
        return open_image(content, limits).decode(preprocess)
    except Unclassifiable as error:
        return error


def assert_same(content: bytes, preprocess: Preprocess, limits: Limits = LIMITS) -> None:
    """Hold what a batch of this one image becomes, and what `decode_image` says, to what Pillow alone makes of it."""
    expected = by_pillow(content, preprocess, limits)
    images = batch(content)
    result = Decode().intercept(images, context(preprocess, limits))
    if isinstance(expected, Unclassifiable):
        with pytest.raises(type(expected)) as refused:
            decode_image(content, limits, preprocess)
        assert (str(refused.value), refused.value.cause) == (str(expected), expected.cause)
        (reject,) = result.errs
        assert type(reject.error) is type(expected)
        assert str(reject.error) == str(about(images.images[0], expected))
        return
    assert_equal(decode_image(content, limits, preprocess), expected)
    columns = result.oks.columns
    header = netpbm_header(preprocess.width, preprocess.height, preprocess.channels)
    assert columns["image_as_pgm"] == [header + expected.raster]
    assert columns["pixels"].tobytes() == expected.raster
    assert np.array_equal(columns["views"][0], expected.view)
    for name in ("format", "width", "height", "metadata"):
        assert columns[name][0] == getattr(expected, name)


def assert_equal(one: Decoded, other: Decoded) -> None:
    def told(decoded: Decoded) -> dict[str, Any]:
        values = {field.name: getattr(decoded, field.name) for field in fields(decoded)}
        return {**values, "view": (decoded.view.shape, decoded.view.dtype, decoded.view.tobytes())}

    assert told(one) == told(other)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_files_are_read_here(name: str) -> None:
    content = PLAIN[name]
    assert plain_within(content, LIMITS) is not None
    for preprocess in MODELS:
        decoded = decode_plain(content, LIMITS, preprocess)
        assert decoded is not None
        assert_equal(decoded, open_image(content, LIMITS).decode(preprocess))
        assert_same(content, preprocess)


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_others_are_not(name: str) -> None:
    assert plain_within(NOT_PLAIN[name], LIMITS) is None
    for preprocess in MODELS:
        assert_same(NOT_PLAIN[name], preprocess)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(changed_files)
def test_whatever_is_changed_in_them(content: bytes) -> None:
    for preprocess in MODELS:
        assert_same(content, preprocess)


@pytest.mark.parametrize("name", ["grey", "colour", "grey JPEG", "colour JPEG"])
@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_image_pixels=28 * 28 - 1),
        Limits(formats=frozenset({"GIF"})),
        Limits(formats=frozenset({"JPEG"})),
        Limits(formats=frozenset({"PNG"})),
        Limits(max_image_frames=0),
    ],
    ids=["pixels", "GIF", "JPEG", "PNG", "frames"],
)
def test_limits_hold(name: str, limits: Limits) -> None:
    for preprocess in MODELS:
        assert_same(PLAIN[name], preprocess, limits)


def test_what_is_not_small_is_not_read_here() -> None:
    assert plain_within(encoded(Image.new("L", (300, 300))), LIMITS) is None


def test_cut_anywhere() -> None:
    for content in PLAIN.values():
        for end in range(0, len(content), 7):
            assert_same(content[:end], MODELS[0])


def test_each_image_of_a_batch_has_pixels_of_its_own() -> None:
    """Between those that are refused, not plain, and of another size."""
    contents = [content for other in FILES for content in (other, encoded(GREY), encoded(GREY.rotate(180)))]
    result = Decode().intercept(batch(*contents), context(MODELS[0], LIMITS))
    expected = [by_pillow(content, MODELS[0]) for content in contents]
    good = [one for one in expected if isinstance(one, Decoded)]
    assert len(result.errs) == len(expected) - len(good) > 3
    assert [pixels.tobytes() for pixels in result.oks.columns["pixels"]] == [one.raster for one in good]
    for view, one in zip(result.oks.columns["views"], good, strict=True):
        assert np.array_equal(view, one.view)


def test_what_statistics_see_of_a_batch_of_the_models_size_is_its_pixels() -> None:
    columns = Decode().intercept(batch(encoded(GREY), PLAIN["grey JPEG"]), context(MODELS[0])).oks.columns
    assert np.shares_memory(columns["views"], columns["pixels"])
    assert columns["metadata"][0] is not None
    again = Decode().intercept(batch(encoded(GREY), encoded(GREY.rotate(90))), context(MODELS[0])).oks.columns
    assert again["metadata"][0] is again["metadata"][1], "files of one header share what it says"


@pytest.mark.parametrize("others", [(), (PLAIN["colour"],)], ids=["alone", "beside another"])
def test_what_images_share_cannot_be_changed(others: tuple[bytes, ...]) -> None:
    """Not the metadata of all files of a header, nor by way of what statistics see what the model sees."""
    columns = Decode().intercept(batch(encoded(GREY), *others), context(MODELS[0])).oks.columns
    with pytest.raises(TypeError):
        columns["metadata"][0]["title"] = "of one image"
    with pytest.raises(ValueError, match="read-only"):
        columns["views"][0][0, 0] = 1


def test_what_is_decoded_alone_can_be_sent_to_another_process() -> None:
    decoded = decode_plain(encoded(GREY), LIMITS, MODELS[0])
    assert decoded is not None
    assert_equal(pickle.loads(pickle.dumps(decoded)), decoded)


def test_statistics_of_a_long_image_of_the_models_size_are_of_fewer_pixels() -> None:
    for content in (PLAIN["long"], NOT_PLAIN["a long JPEG"]):
        assert_same(content, Preprocess(*LONG.size))


def test_pillow_decodes_into_memory_that_it_was_lent() -> None:
    """Should it stop to, nothing would be wrong, but this way would not be taken any more."""
    samples = np.zeros((28, 28), np.uint8)
    assert GreyOfModelsSize(MODELS[0], LIMITS).read(encoded(GREY), samples) is not None
    assert np.array_equal(samples, np.asarray(GREY))
