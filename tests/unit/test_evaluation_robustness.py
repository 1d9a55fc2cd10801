"""Disturbing images in steps, and what becomes of a model's accuracy: the article's "changing input"."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_files import IMAGES, expected_probabilities, small_model
from PIL import Image
from scipy import ndimage

from flumen.models.errors import AnswersInvalid
from flumen.models.evaluation import robustness
from flumen.models.evaluation.disturbances import DISTURBANCES, Disturbance
from flumen.models.evaluation.intervals import wilson
from flumen.models.evaluation.robustness import measure_robustness, steps_of
from flumen.models.runtime import OnnxClassifier

GREY = np.random.default_rng(1).integers(0, 256, (7, 9, 12), dtype=np.uint8)
COLOUR = np.random.default_rng(2).integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)
UNCHANGED = {"scale smaller": 1.0, "scale larger": 1.0, "contrast": 1.0}


def disturbed(name: str, step: float, pixels=GREY, seed: int = 0):
    return DISTURBANCES[name].apply(pixels, step, np.random.default_rng(seed))


@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("name", [name for name in DISTURBANCES if name != "jpeg"])
def test_no_disturbance_changes_nothing(name, pixels):
    np.testing.assert_array_equal(disturbed(name, UNCHANGED.get(name, 0.0), pixels), pixels)


@settings(deadline=None, max_examples=30)
@given(
    name=st.sampled_from(list(DISTURBANCES)),
    sizes=st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 9)),
    colour=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_images_stay_images_and_chance_is_seeded(name, sizes, colour, seed):
    shape = (*sizes, 3) if colour else sizes
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    for step in DISTURBANCES[name].steps:
        found = disturbed(name, step, pixels, seed)
        assert (found.shape, found.dtype) == (pixels.shape, np.uint8)
        np.testing.assert_array_equal(found, disturbed(name, step, pixels, seed))


@pytest.mark.parametrize("name", DISTURBANCES)
def test_steps_go_from_the_mildest_on(name):
    """A smooth picture is changed the more, the further the step."""
    ramp = np.add.outer(np.arange(24), 2 * np.arange(24))
    smooth = np.stack([60 + ramp, 150 - ramp // 2]).clip(0, 255).astype(np.uint8)
    apart = [
        np.abs(disturbed(name, step, smooth).astype(int) - smooth).mean() for step in DISTURBANCES[name].steps
    ]
    assert apart == sorted(apart)
    assert apart[0] < apart[-1]


def test_a_turn_is_scipys():
    for image, found in zip(GREY, disturbed("rotation", 30.0), strict=True):
        sides = [
            ndimage.rotate(image.astype(np.float64), sign * 30, reshape=False, order=1, mode="nearest")
            for sign in (1, -1)
        ]
        assert min(np.abs(found - side).max() for side in sides) <= 0.51


def test_a_change_of_size_is_scipys():
    middle = (np.array(GREY.shape[1:]) - 1) / 2
    for image, found in zip(GREY, disturbed("scale larger", 1.7), strict=True):
        expected = ndimage.affine_transform(
            image.astype(np.float64), [1 / 1.7] * 2, middle - middle / 1.7, order=1, mode="nearest"
        )
        assert np.abs(found - expected).max() <= 0.51


def test_a_shift_of_whole_pixels_is_one_of_four():
    """A third of 9 rows is 3, a third of 12 columns 4."""
    seen = set()
    for image, found in zip(
        np.repeat(GREY, 9, axis=0), disturbed("shift", 1 / 3, np.repeat(GREY, 9, axis=0)), strict=True
    ):
        padded = np.pad(image, ((3, 3), (4, 4)), mode="edge")
        wanted = {
            (row, column): padded[3 + row : 12 + row, 4 + column : 16 + column]
            for row, column in ((-3, 0), (3, 0), (0, -4), (0, 4))
        }
        seen |= {move for move, moved in wanted.items() if np.array_equal(moved, found)}
    assert seen == {(-3, 0), (3, 0), (0, -4), (0, 4)}


def test_blur_is_scipys_image_by_image_and_channel_by_channel():
    found = disturbed("blur", 0.1, COLOUR)
    for image, blurred in zip(COLOUR, found, strict=True):
        for channel in range(3):
            expected = ndimage.gaussian_filter(
                image[..., channel].astype(np.float64), (0.8, 0.6), mode="nearest"
            )
            assert np.abs(blurred[..., channel] - expected).max() <= 0.51


def test_noise_has_the_deviation_that_it_says():
    flat = np.full((200, 20, 20), 128, np.uint8)
    found = disturbed("noise", 16.0, flat).astype(float)
    assert found.std() == pytest.approx(16, rel=0.02)
    assert found.mean() == pytest.approx(128, abs=0.3)


def test_light_by_hand():
    pixels = np.array([[[0, 100, 200]]], np.uint8)
    assert disturbed("brighter", 64, pixels).tolist() == [[[64, 164, 255]]]
    assert disturbed("darker", -64, pixels).tolist() == [[[0, 36, 136]]]
    assert disturbed("contrast", 0.5, pixels).tolist() == [[[50, 100, 150]]]
    assert disturbed("inversion", 1.0, pixels).tolist() == [[[255, 155, 55]]]
    assert set(disturbed("inversion", 0.5, pixels).ravel().tolist()) == {128}


def test_jpeg_is_pillows():
    buffer = io.BytesIO()
    Image.fromarray(COLOUR[0]).save(buffer, "JPEG", quality=30)
    np.testing.assert_array_equal(disturbed("jpeg", 30, COLOUR)[0], np.asarray(Image.open(buffer)))


KNOWN = expected_probabilities().argmax(axis=1)


def test_a_curve_has_a_point_a_step_with_its_interval():
    classifier = OnnxClassifier(*small_model())
    told: list[str] = []
    found = measure_robustness(classifier, IMAGES, KNOWN, on_step=told.append)
    assert len(told) == steps_of() == 1 + sum(len(curve.points) for curve in found.curves)
    assert (found.images, found.undisturbed, found.interval) == (4, 1.0, wilson(4, 4))
    assert [curve.disturbance for curve in found.curves] == list(DISTURBANCES)
    for curve in found.curves:
        assert [point.step for point in curve.points] == list(DISTURBANCES[curve.disturbance].steps)
        for point in curve.points:
            assert point.interval == wilson(round(point.accuracy * 4), 4)
        assert curve.mean == pytest.approx(np.mean([point.accuracy for point in curve.points]))
    assert found.mean == pytest.approx(np.mean([curve.mean for curve in found.curves]))
    assert found == measure_robustness(classifier, IMAGES, KNOWN)


def test_each_step_is_measured_with_the_same_images_whatever_is_done_at_once(monkeypatch):
    """A disturbance that shows what it is given: all images come, in order, part by part."""
    seen: list[np.ndarray] = []

    def look(pixels, _step, _random):
        seen.append(pixels)
        return pixels

    many = np.random.default_rng(3).integers(0, 256, (50, 3, 4), dtype=np.uint8)
    classifier = OnnxClassifier(*small_model())
    monkeypatch.setattr(robustness, "_BYTES_AT_ONCE", 12 * 4)
    looking = {"look": Disturbance("", (1.0, 2.0), look)}
    found = measure_robustness(classifier, many, np.zeros(50, np.int64), images=10, disturbances=looking)
    assert [len(part) for part in seen] == [4, 4, 2] * 2
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    np.testing.assert_array_equal(first, second)
    assert {part.tobytes() for part in first} <= {image.tobytes() for image in many}
    assert [point.accuracy for point in found.curves[0].points] == [found.undisturbed] * 2


def test_no_images_and_images_of_another_size_are_refused():
    classifier = OnnxClassifier(*small_model())
    with pytest.raises(AnswersInvalid, match="no images to disturb"):
        measure_robustness(classifier, IMAGES[:0], KNOWN[:0])
    with pytest.raises(AnswersInvalid, match="take images of the model's size"):
        measure_robustness(classifier, IMAGES[:, :2], KNOWN)
