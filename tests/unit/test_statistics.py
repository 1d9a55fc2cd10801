"""Statistics of pixels, against what can be worked out by hand; and what the interceptor makes of a mixed batch."""

import io
import json
from typing import Any

import numpy as np
import pytest
from images import batch, context, encoded, gradient
from numpy.typing import NDArray
from PIL import Image

from flumen.interceptor import Batch
from flumen.interceptor.decode import Decode
from flumen.interceptor.errors import InterceptorError
from flumen.interceptor.pixels import VIEW_SIDE
from flumen.interceptor.statistics.colours import colour_name
from flumen.interceptor.statistics.step import Statistics, measure


def measured(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """The statistics of one image, JSON read."""
    row = {name: values[0] for name, values in measure(pixels[None]).items()}
    return {
        **row,
        "palette": json.loads(row["palette"]),
        "luminance_histogram": json.loads(row["luminance_histogram"]),
    }


def canvas(size: int = 40, shade: int = 0) -> NDArray[np.uint8]:
    return np.full((size, size), shade, dtype=np.uint8)


def test_a_grey_image_by_hand() -> None:
    pixels = np.array([[0, 0, 0, 255]], dtype=np.uint8)
    row = measured(pixels)
    assert (row["luminance_min"], row["luminance_max"]) == (0, 255)
    assert row["luminance_mean"] == 63.75
    assert row["luminance_std"] == pytest.approx(255 * np.sqrt(3) / 4)
    assert row["contrast"] == pytest.approx(np.sqrt(3) / 4)
    assert row["entropy"] == pytest.approx(2 - 0.75 * np.log2(3))
    assert row["luminance_histogram"] == [0.75, *[0] * 14, 0.25]
    assert row["brightness"] == "dark"
    assert row["colorfulness"] == 0
    assert row["dominant_color"] == "black"
    assert row["dominant_colors"] == ["black", "white"]
    assert row["palette"] == [
        {"name": "black", "color": "#000000", "share": 0.75},
        {"name": "white", "color": "#ffffff", "share": 0.25},
    ]
    assert row["sharpness"] == 0, "no pixel has four neighbours"
    assert not {"red_mean", "green_min", "blue_max"} & row.keys()


def test_a_colour_image_by_hand() -> None:
    pixels = np.zeros((1, 4, 3), dtype=np.uint8)
    pixels[0, :3] = (255, 0, 0)
    pixels[0, 3] = (0, 0, 255)
    row = measured(pixels)
    assert (row["red_mean"], row["green_mean"], row["blue_mean"]) == (191.25, 0, 63.75)
    assert (row["red_min"], row["red_max"], row["green_max"], row["blue_max"]) == (0, 255, 0, 255)
    assert row["blue_std"] == pytest.approx(255 * np.sqrt(3) / 4)
    assert (row["luminance_min"], row["luminance_max"]) == (29, 76), "ITU-R BT.601"
    rg, yb = np.array([255, 255, 255, 0]), np.array([127.5, 127.5, 127.5, -255])
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert row["colorfulness"] == pytest.approx(expected)
    assert row["dominant_colors"] == ["red", "blue"]


def test_colours_too_small_to_be_dominant() -> None:
    pixels = canvas(10, 200)
    pixels[0, :4] = 100
    row = measured(pixels)
    assert len(row["palette"]) == 1
    pixels[0, :5] = 100
    assert len(measured(pixels)["palette"]) == 2


def test_no_more_than_five_colours() -> None:
    pixels = np.repeat(np.arange(0, 256, 32, dtype=np.uint8), 8)[None].repeat(4, axis=0)
    assert len(measured(pixels)["palette"]) == 5


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0x000000, "black"),
        (0xFFFFFF, "white"),
        (0xFF0000, "red"),
        (0x00FFFF, "aqua"),
        (0x00FF00, "lime"),
        (0x808080, "gray"),
        (0xFE0102, "red"),
        (0x000082, "navy"),
        (0xFFA502, "orange"),
    ],
)
def test_the_nearest_name_of_a_colour(code: int, name: str) -> None:
    assert colour_name(code) == name


@pytest.mark.parametrize(
    ("shade", "name"), [(0, "dark"), (63, "dark"), (64, "dim"), (128, "light"), (255, "bright")]
)
def test_brightness_by_quarters(shade: int, name: str) -> None:
    assert measured(canvas(8, shade))["brightness"] == name


@pytest.mark.parametrize("shade", [0, 1, 128, 255])
def test_one_shade_has_nothing_in_it(shade: int) -> None:
    row = measured(canvas(30, shade))
    assert [row[name] for name in ("entropy", "contrast", "foreground", "objects", "sharpness")] == [0] * 5


@pytest.mark.parametrize("inverted", [False, True])
def test_objects_stand_out_from_what_the_border_is_of(inverted: bool) -> None:
    pixels = canvas()
    pixels[4:12, 4:12] = 255
    pixels[20:30, 5:9] = 250
    pixels[15, 30] = pixels[16, 31] = pixels[17, 30] = pixels[18, 31] = pixels[19, 32] = (
        255  # joined at the corners
    )
    pixels[35, 35] = pixels[35, 36] = 255  # a speck
    row = measured(255 - pixels if inverted else pixels)
    assert row["objects"] == 3
    assert row["foreground"] == pytest.approx((64 + 40 + 5 + 2) / 1600)


def test_objects_of_one_image_do_not_touch_those_of_the_next() -> None:
    full = canvas(20)
    full[0:20, 8:12] = 255  # from edge to edge
    images = np.stack([full, canvas(20), full, full])
    assert np.asarray(measure(images)["objects"]).tolist() == [1, 0, 1, 1]


def test_a_speck_is_larger_in_a_larger_image() -> None:
    pixels = canvas(200)
    pixels[50:55, 50:57] = 255  # 35 pixels of 40,000: under a thousandth
    assert measured(pixels)["objects"] == 0
    pixels[50:56, 50:57] = 255
    assert measured(pixels)["objects"] == 1


def test_a_blurred_edge_is_less_sharp() -> None:
    pixels = canvas()
    pixels[10:30, 10:30] = 255
    sharp = measured(pixels)["sharpness"]
    smooth = np.asarray(Image.fromarray(pixels).resize((20, 20), Image.Resampling.BOX).resize((40, 40)))
    assert measured(smooth)["sharpness"] < sharp / 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 2), (1, 1, 3), (2, 2, 3)])
def test_the_smallest_images(shape: tuple[int, ...]) -> None:
    row = measured(np.full(shape, 7, dtype=np.uint8))
    assert row["luminance_mean"] == 7
    assert row["sharpness"] == 0


def statistics_of(*contents: bytes) -> Batch:
    return Statistics().intercept(Decode().intercept(batch(*contents), context()).oks, context()).oks


def test_a_batch_of_many_shapes_and_modes() -> None:
    grey, colour = Image.fromarray(gradient(30, 20)), Image.new("RGB", (20, 30), "navy")
    columns = statistics_of(*map(encoded, (grey, colour, grey.resize((28, 28)), grey, colour))).columns
    assert columns["dominant_color"][1] == columns["dominant_color"][4] == "navy"
    assert columns["blue_mean"] == [None, 128.0, None, None, 128.0]
    assert (
        columns["luminance_mean"][0] == columns["luminance_mean"][3] == pytest.approx(gradient(30, 20).mean())
    )
    assert "views" not in columns


def test_an_empty_batch_has_no_statistics() -> None:
    step = Statistics().intercept(Batch([]).with_columns(views=[]), context())
    assert step.oks == Batch([])


def test_grey_images_have_no_columns_of_channels() -> None:
    columns = statistics_of(encoded(Image.fromarray(gradient(30, 20)))).columns
    of_channels = {name for name in columns if name.startswith(("red_", "green_", "blue_"))}
    assert not of_channels
    assert columns.keys() >= {column.name for column in Statistics.columns if column.name[:4] == "lumi"}


def test_statistics_need_decoded_images() -> None:
    with pytest.raises(InterceptorError, match="put decode before it"):
        Statistics().intercept(batch(b"x"), context())


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_a_large_photo_is_measured_at_512_pixels(image_format: str) -> None:
    """Means stay what they are, but for rounding and what JPEG loses."""
    rows, columns = np.mgrid[0:900, 0:1300]
    pixels = np.stack([rows * 255 // 900, columns * 255 // 1300, (rows + columns) % 256], axis=-1).astype(
        np.uint8
    )
    step = Decode().intercept(batch(encoded(Image.fromarray(pixels), image_format)), context())
    (view,) = step.oks.columns["views"]
    assert max(view.shape) <= 512
    columns_of = Statistics().intercept(step.oks, context()).oks.columns
    for position, name in enumerate(("red", "green", "blue")):
        assert columns_of[f"{name}_mean"][0] == pytest.approx(pixels[..., position].mean(), abs=1.5)


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("size", [(800, 600), (601, 1_023), (1_600, 1_200)])
def test_a_photo_shrunk_while_it_is_decoded_looks_like_the_mean_of_its_pixels(
    size: tuple[int, int], subsampling: int
) -> None:
    clouds = np.random.default_rng(1).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    photo = encoded(Image.fromarray(clouds).resize(size), "JPEG", quality=90, subsampling=subsampling)
    (view,) = Decode().intercept(batch(photo), context()).oks.columns["views"]
    whole = Image.open(io.BytesIO(photo))
    factor = -(-max(size) // VIEW_SIDE)
    differences = np.abs(view.astype(int) - np.asarray(whole.reduce(factor)))
    assert differences.mean() < 1
    assert differences.max() <= 16


def hashes_of(*contents: bytes) -> list[int | None]:
    decoded = Decode().intercept(batch(*contents), context()).oks
    return list(Statistics().intercept(decoded, context()).oks.columns["perceptual_hash"])


def test_one_picture_has_one_hash_whatever_its_mode() -> None:
    """As CMYK, with 16 bits, a palette and a transparent colour, or as the first of several frames."""
    shades = gradient(64, 48)
    picture = Image.fromarray(np.stack([shades, shades[::-1], 255 - shades], axis=2))
    palette = picture.quantize(200)
    palette.info["transparency"] = 201
    frames = [Image.new("RGB", picture.size, shade) for shade in ("red", "blue")]
    expected, *found = hashes_of(
        encoded(picture),
        encoded(picture.convert("CMYK"), "TIFF"),
        encoded(Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)),
        encoded(palette),
        encoded(picture.convert("RGBA")),
        encoded(picture, save_all=True, append_images=frames),
    )
    assert expected is not None
    assert [(value or 0) ^ expected for value in found] == [0] * 5


def test_images_with_nothing_to_compare_have_no_hash() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (7, 10_000), dtype=np.uint8)
    images = [
        Image.new("RGB", (1, 1), "red"),
        Image.fromarray(noise[:1]),
        Image.fromarray(noise.T),
        Image.new("RGB", (40, 30), "red"),
        Image.new("CMYK", (40, 30), (9, 8, 7, 6)),
    ]
    contents = [encoded(image, "TIFF" if image.mode == "CMYK" else "PNG") for image in images]
    (seen,) = hashes_of(encoded(Image.fromarray(noise[:, :8].repeat(2, axis=0))))
    assert seen is not None
    assert hashes_of(*contents) == [None] * len(contents)
