"""The interceptor `statistics`: groups of images of one shape, each group measured at once."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.batch import Batch, ColumnValues, Intercepted, plain
from flumen.interceptor.chain import Context
from flumen.interceptor.columns import Column, Kind
from flumen.interceptor.errors import InterceptorError
from flumen.interceptor.statistics import colours, hashes, light, shapes, texts
from flumen.interceptor.statistics.light import Cumulated

_CHANNELS = ("red", "green", "blue")

_GROUP_PIXELS = 500_000
"""So many pixels are measured at once: what lies between takes up to 60 bytes a pixel."""

_NO_COLUMNS = frozenset({"histograms", "palettes", "frequencies"})
"""What was seen of images and is not stored as it is."""

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
        Column("perceptual_hash", Kind.INT64, "63 bits, nearly the same for pictures that look the same"),
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
        measured += [
            (rows, columns_of(_gathered([already[row] for row in rows]))) for rows in _alike(already)
        ]
        if len(measured) == 1 and len(measured[0][0]) == len(batch):
            # All are measured at once: the columns are there already.
            columns: Mapping[str, ColumnValues] = measured[0][1]
        else:
            columns = _scattered(len(batch), measured)
        return Intercepted(batch.without("views", "measured").with_columns(**columns), ())


def measure(pixels: NDArray[np.uint8]) -> dict[str, ColumnValues]:
    """Measure n images of one shape: uint8, n x height x width (grey) or n x height x width x 3 (RGB).

    A grey image has no values of channels: its colourfulness is 0 and its colours are greys.
    """
    return _columns(*_looked(pixels))


def look_at(pixels: NDArray[np.uint8]) -> dict[str, ColumnValues]:
    """Return all of n images of one shape that takes a look at their pixels; the rest is arithmetic (`columns_of`).

    `histograms`: whole numbers, n x 1 x 256 of grey images, n x 4 x 256 of others: luminance, red, green, blue.
    `frequencies`: n x 64 (`flumen.interceptor.statistics.hashes`). `foreground`, `objects` and `sharpness` as the
    columns are, and of others also `colorfulness` and `palettes`.
    """
    seen, _ = _looked(pixels)
    return seen


def columns_of(seen: Mapping[str, ColumnValues]) -> dict[str, ColumnValues]:
    """Return the columns of n images, all grey or none, that were looked at."""
    return _columns(seen, light.cumulated(np.asarray(seen["histograms"])[:, 0]))


def _looked(pixels: NDArray[np.uint8]) -> tuple[dict[str, ColumnValues], Cumulated]:
    luminance, histograms = light.counted(pixels)
    cumulated = light.cumulated(histograms[:, 0])
    standing_out = shapes.foreground(luminance, light.otsu(cumulated))
    seen: dict[str, ColumnValues] = {
        "histograms": histograms,
        "foreground": shapes.share(standing_out),
        "objects": shapes.count_objects(standing_out),
        "sharpness": shapes.sharpness(luminance),
        "frequencies": hashes.frequencies(luminance),
    }
    if not light.is_grey(pixels):
        channels = colours.sampled(pixels)
        seen["colorfulness"] = colours.colorfulness(channels)
        seen["palettes"] = colours.dominant(channels, pixels)
    return seen, cumulated


def _columns(seen: Mapping[str, ColumnValues], cumulated: Cumulated) -> dict[str, ColumnValues]:
    histograms = np.asarray(seen["histograms"])
    count, kinds, _ = histograms.shape
    # Of all images first luminance, then one channel after the other.
    of_all = light.levels(histograms.swapaxes(0, 1).reshape(-1, light.LEVELS))
    of_kind = [of_all.part(slice(start, start + count)) for start in range(0, kinds * count, count)]
    of_light, *of_channels = of_kind
    columns: dict[str, ColumnValues] = {
        **_level_columns("luminance", of_light),
        "luminance_histogram": texts.shares_json(light.bins(cumulated)),
        "entropy": light.entropy(histograms[:, 0]),
        "contrast": light.contrast(of_light),
        "brightness": light.brightness(of_light),
        "perceptual_hash": hashes.perceptual_hashes(np.asarray(seen["frequencies"])),
        **{name: values for name, values in seen.items() if name not in _NO_COLUMNS},
    }
    if not of_channels:
        return {**columns, **_grey_columns(cumulated)}
    for name, levels in zip(_CHANNELS, of_channels, strict=True):
        columns |= _level_columns(name, levels)
    return {**columns, **texts.palette_columns(list(seen["palettes"]))}


def _grey_columns(of: Cumulated) -> Mapping[str, ColumnValues]:
    return {
        "colorfulness": np.zeros(len(of.pixels), dtype=np.float32),
        **texts.palette_columns(colours.dominant_greys(of)),
    }


def _level_columns(name: str, levels: light.Levels) -> Mapping[str, ColumnValues]:
    return {
        f"{name}_mean": levels.mean,
        f"{name}_std": levels.std,
        f"{name}_min": levels.least,
        f"{name}_max": levels.greatest,
    }


def _scattered(
    count: int, measured: Sequence[tuple[Sequence[int], Mapping[str, ColumnValues]]]
) -> Mapping[str, ColumnValues]:
    """Return columns of `count` rows: those of groups of rows."""
    columns: dict[str, list[Any]] = {}
    for rows, values_of_rows in measured:
        for name, values in values_of_rows.items():
            column = columns.setdefault(name, [None] * count)
            for row, value in zip(rows, plain(values), strict=True):
                column[row] = value
    return columns


def _alike(already: ColumnValues) -> Iterator[Sequence[int]]:
    """Yield the rows of the grey images that were looked at, and those of the others."""
    by_kind: dict[int, list[int]] = {}
    for row, seen in enumerate(already):
        if seen is not None:
            by_kind.setdefault(seen["histograms"].shape[1], []).append(row)
    yield from by_kind.values()


def _gathered(looks: Sequence[Mapping[str, ColumnValues]]) -> Mapping[str, ColumnValues]:
    """Return what was seen of images one by one as `look_at` returns it of several."""
    return {
        name: np.concatenate([look[name] for look in looks])
        if isinstance(values, np.ndarray)
        else [value for look in looks for value in look[name]]
        for name, values in looks[0].items()
    }


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
