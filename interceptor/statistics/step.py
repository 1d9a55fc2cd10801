"""The interceptor `statistics`: groups of images of one shape, each group measured at once."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.batch import Batch, ColumnValues, Intercepted, plain
from flumen.interceptor.chain import Context
from flumen.interceptor.columns import Column, Kind
from flumen.interceptor.errors import InterceptorError
from flumen.interceptor.statistics import colours, light, shapes, texts
from flumen.interceptor.statistics.light import Cumulated

_CHANNELS = ("red", "green", "blue")

_GROUP_PIXELS = 500_000
"""So many pixels are measured at once: what lies between takes up to 60 bytes a pixel."""

_OF_LUMINANCE = (
    Column("luminance_mean", Kind.FLOAT, "mean luminance, 0 to 255"),
    Column("luminance_std", Kind.FLOAT, "its standard deviation"),
    Column("luminance_min", Kind.INT32, "the darkest pixel's luminance"),
    Column("luminance_max", Kind.INT32, "the brightest pixel's luminance"),
)
_OF_CHANNELS = tuple(
    column
    for channel in _CHANNELS
    for column in (
        Column(f"{channel}_mean", Kind.FLOAT, f"mean {channel}, 0 to 255; null for a grey image"),
        Column(f"{channel}_std", Kind.FLOAT, "its standard deviation"),
        Column(f"{channel}_min", Kind.INT32, f"the least {channel} of a pixel"),
        Column(f"{channel}_max", Kind.INT32, f"the greatest {channel} of a pixel"),
    )
)


class Statistics:
    """Measures what an image's pixels say by themselves; rejects nothing."""

    columns = (
        *_OF_LUMINANCE,
        *_OF_CHANNELS,
        Column(
            "luminance_histogram", Kind.JSON, "the shares of 16 equal ranges of luminance, dark to bright"
        ),
        Column("entropy", Kind.FLOAT, "Shannon's entropy of the luminance, 0 to 8 bits"),
        Column("contrast", Kind.FLOAT, "root-mean-square contrast, 0 to 0.5"),
        Column("brightness", Kind.STRING, "the quarter of mean luminance: dark, dim, light or bright"),
        Column("colorfulness", Kind.FLOAT, "Hasler and Suesstrunk's colourfulness; 0 is grey"),
        Column("dominant_color", Kind.STRING, "the CSS name nearest to the most frequent colour"),
        Column("dominant_colors", Kind.STRINGS, "the CSS names of up to five dominant colours"),
        Column("palette", Kind.JSON, "these colours: name, #rrggbb, share of the pixels"),
        Column("foreground", Kind.FLOAT, "the share of pixels that stand out from the background, 0 to 1"),
        Column("objects", Kind.INT32, "in how many connected pieces"),
        Column("sharpness", Kind.FLOAT, "the variance of the Laplacian of the luminance"),
    )

    def intercept(self, batch: Batch, context: Context) -> Intercepted:  # noqa: ARG002 - nothing of it is needed
        """Add the columns, but those of channels where all are grey; take `views` and `measured` away: they are large.

        Raises:
            InterceptorError: no interceptor before it made `views`.
        """
        if "views" not in batch.columns:
            raise InterceptorError("statistics needs views; put decode before it in the setting interceptors")
        views = batch.columns["views"]
        already = batch.columns.get("measured", [None] * len(batch))
        open_rows = [row for row in range(len(batch)) if already[row] is None]
        measured = [(rows, measure(_stacked(views, rows))) for rows in _groups(views, open_rows)]
        if len(measured) == 1 and len(open_rows) == len(batch):
            # All are of one shape: the columns are there already.
            columns: Mapping[str, ColumnValues] = measured[0][1]
        else:
            columns = _scattered(len(batch), measured, already)
        return Intercepted(batch.without("views", "measured").with_columns(**columns), ())


def measure_one(view: NDArray[np.uint8]) -> dict[str, Any]:
    """Measure one image, height x width [x 3]: the columns' values, but for those that are null."""
    return {name: plain(values)[0] for name, values in measure(view[None]).items()}


def measure(pixels: NDArray[np.uint8]) -> dict[str, ColumnValues]:
    """Measure n images of one shape: uint8, n x height x width (grey) or n x height x width x 3 (RGB).

    A grey image has no values of channels: its colourfulness is 0 and its colours are greys.
    """
    count = len(pixels)
    luminance, histograms = light.counted(pixels)
    histogram = histograms[:count]
    cumulated = light.cumulated(histogram)
    of_all = light.levels(histograms)
    of_light = of_all.part(slice(count))
    standing_out = shapes.foreground(luminance, light.otsu(cumulated))
    columns: dict[str, ColumnValues] = {
        **_level_columns("luminance", of_light),
        "luminance_histogram": texts.shares_json(light.bins(cumulated)),
        "entropy": light.entropy(histogram),
        "contrast": light.contrast(of_light),
        "brightness": light.brightness(of_light),
        "foreground": shapes.share(standing_out),
        "objects": shapes.count_objects(standing_out),
        "sharpness": shapes.sharpness(luminance),
    }
    if light.is_grey(pixels):
        return {**columns, **_grey_columns(cumulated)}
    for position, name in enumerate(_CHANNELS, 1):
        columns |= _level_columns(name, of_all.part(slice(position * count, (position + 1) * count)))
    return {**columns, **_colour_columns(pixels)}


def _grey_columns(of: Cumulated) -> Mapping[str, ColumnValues]:
    return {
        "colorfulness": np.zeros(len(of.pixels), dtype=np.float32),
        **texts.palette_columns(colours.dominant_greys(of)),
    }


def _colour_columns(pixels: NDArray[np.uint8]) -> Mapping[str, ColumnValues]:
    channels = colours.sampled(pixels)
    return {
        "colorfulness": colours.colorfulness(channels),
        **texts.palette_columns(colours.dominant(channels, pixels)),
    }


def _level_columns(name: str, levels: light.Levels) -> Mapping[str, ColumnValues]:
    return {
        f"{name}_mean": levels.mean,
        f"{name}_std": levels.std,
        f"{name}_min": levels.least,
        f"{name}_max": levels.greatest,
    }


def _scattered(
    count: int, measured: Sequence[tuple[Sequence[int], Mapping[str, ColumnValues]]], already: ColumnValues
) -> Mapping[str, ColumnValues]:
    """Return columns of `count` rows: those of groups of rows, and those of rows that were measured one by one."""
    columns: dict[str, list[Any]] = {}
    for rows, values_of_rows in measured:
        for name, values in values_of_rows.items():
            column = columns.setdefault(name, [None] * count)
            for row, value in zip(rows, plain(values), strict=True):
                column[row] = value
    for row, values_of_one in enumerate(already):
        for name, value in (values_of_one or {}).items():
            if name not in columns:
                columns[name] = [None] * count
            columns[name][row] = value
    return columns


def _stacked(views: ColumnValues, rows: Sequence[int]) -> NDArray[np.uint8]:
    """Return the views of these rows in one piece: n x height x width [x 3]."""
    if isinstance(views, np.ndarray):
        return np.asarray(views if len(rows) == len(views) else views[list(rows)])
    return np.stack([views[row] for row in rows])


def _groups(views: ColumnValues, rows: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield those of these rows that are images of one shape, not too many pixels at once."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for row in rows:
        by_shape.setdefault(views[row].shape, []).append(row)
    for shape, alike in by_shape.items():
        size = max(1, _GROUP_PIXELS // (shape[0] * shape[1]))
        for start in range(0, len(alike), size):
            yield alike[start : start + size]
