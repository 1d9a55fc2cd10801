import numpy as np
import pytest

from flumen.interceptor import Preprocess
from flumen.interceptor.preprocess import to_tensor

GREY = np.array([[[0, 30, 31], [128, 254, 255]]], dtype=np.uint8)
COLOUR = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3)


def test_the_threshold_of_the_article():
    tensor = to_tensor(GREY, Preprocess(width=3, height=2, threshold=30))
    assert tensor.tolist() == [[0.0, 0.0, 1.0, 1.0, 1.0, 1.0]]


def test_scale_mean_and_std_a_channel():
    preprocess = Preprocess(
        width=3, height=2, channels=3, scale=0.5, mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 4.0), layout="nhwc"
    )
    tensor = to_tensor(COLOUR, preprocess)
    assert tensor[1, 1, 2].tolist() == [(33 * 0.5 - 1) / 1, (34 * 0.5 - 2) / 2, (35 * 0.5 - 3) / 4]


@pytest.mark.parametrize(
    ("pixels", "channels", "layout", "shape"),
    [
        (GREY, 1, "flat", (1, 6)),
        (GREY, 1, "nchw", (1, 1, 2, 3)),
        (GREY, 1, "nhwc", (1, 2, 3, 1)),
        (COLOUR, 3, "flat", (2, 18)),
        (COLOUR, 3, "nchw", (2, 3, 2, 3)),
        (COLOUR, 3, "nhwc", (2, 2, 3, 3)),
        (COLOUR[:0], 3, "flat", (0, 18)),
        (COLOUR[:0], 3, "nchw", (0, 3, 2, 3)),
    ],
)
def test_layouts(pixels, channels, layout, shape):
    tensor = to_tensor(pixels, Preprocess(width=3, height=2, channels=channels, scale=1.0, layout=layout))
    assert tensor.shape == shape
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    if layout == "nchw":
        tensor = tensor.transpose(0, 2, 3, 1)
    assert np.array_equal(tensor.reshape(pixels.shape), pixels.astype(np.float32))


def test_leaves_the_pixels_as_they_are():
    before = GREY.copy()
    to_tensor(GREY, Preprocess(width=3, height=2))
    assert np.array_equal(GREY, before)


def test_names_the_shape_it_needs():
    with pytest.raises(ValueError, match=r"reads pixels of shape \(1, 28, 28\), not \(1, 2, 3\)"):
        to_tensor(GREY, Preprocess(width=28, height=28))


def test_names_the_layouts_it_knows():
    with pytest.raises(ValueError, match="'chw' is unknown; it is one of flat, nchw, nhwc"):
        to_tensor(GREY, Preprocess(width=3, height=2, layout="chw"))
