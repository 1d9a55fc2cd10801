"""What `flumen.interceptor.statistics` measures, by the plain formulas: one image at a time, in whole numbers.

The sources of the formulas stand in that package. Nothing here is fast, and nothing is shared with what it is compared
with but the names of colours; both give the same numbers to the last bit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flumen.interceptor.statistics.colours import colour_name


def measured_plainly(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """The statistics of one image, height x width [x 3]."""
    is_grey = pixels.ndim == 2
    luminance = pixels if is_grey else luma(pixels)
    histogram = np.bincount(luminance.ravel(), minlength=256)
    shapes = foreground(luminance, otsu(histogram))
    row = levels("luminance", luminance)
    row |= {
        "luminance_histogram": f"[{','.join(f'{part:g}' for part in bins(histogram))}]",
        "entropy": entropy(histogram),
        "contrast": np.float32(row["luminance_std"] / 255),
        "brightness": ("dark", "dim", "light", "bright")[int(row["luminance_mean"] / 64)],
        "foreground": np.float32(shapes.mean()),
        "objects": objects(shapes),
        "sharpness": sharpness(luminance),
        "perceptual_hash": perceptual_hash(luminance),
        "colorfulness": np.float32(0) if is_grey else colorfulness(pixels),
    }
    if not is_grey:
        for position, name in enumerate(("red", "green", "blue")):
            row |= levels(name, pixels[..., position])
    return row | palette(pixels if not is_grey else pixels[..., None].repeat(3, axis=-1))


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    weighted = pixels.astype(np.int64) @ np.array([19_595, 38_470, 7_471])
    return ((weighted + 0x8000) >> 16).astype(np.uint8)


def variance(values: NDArray[np.int64]) -> float:
    count, total = values.size, int(values.sum())
    return (count * int((values**2).sum()) - total**2) / count**2


def levels(name: str, values: NDArray[np.uint8]) -> dict[str, Any]:
    whole = values.astype(np.int64)
    return {
        f"{name}_mean": np.float32(whole.sum() / whole.size),
        f"{name}_std": np.float32(np.sqrt(variance(whole))),
        f"{name}_min": whole.min(),
        f"{name}_max": whole.max(),
    }


def bins(histogram: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.round(histogram.reshape(16, 16).sum(axis=1) / histogram.sum() * 10_000) / 10_000


def entropy(histogram: NDArray[np.int64]) -> np.float32:
    shares = histogram / histogram.sum()
    bits = np.zeros(256)
    bits[shares > 0] = np.log2(shares[shares > 0])
    return np.float32(abs((shares * bits).sum()))


def otsu(histogram: NDArray[np.int64]) -> int:
    below, mass = histogram.cumsum(), (histogram * np.arange(256)).cumsum()
    parted = below * (below[-1] - below)
    difference = (mass[-1] * below - mass * below[-1]).astype(np.float64)
    between = np.zeros(256)
    between[parted > 0] = difference[parted > 0] ** 2 / parted[parted > 0]
    return int(between.argmax())


def foreground(luminance: NDArray[np.uint8], threshold: int) -> NDArray[np.bool_]:
    bright = luminance > threshold
    border = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    return ~bright if 2 * border.sum() > border.size else bright


def objects(shapes: NDArray[np.bool_]) -> int:
    labels, _ = ndimage.label(shapes, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    return int((sizes >= max(5, shapes.size / 1000)).sum())


def sharpness(luminance: NDArray[np.uint8]) -> np.float32:
    if min(luminance.shape) < 3:
        return np.float32(0)
    level = luminance.astype(np.int64)
    beside = level[:-2, 1:-1] + level[2:, 1:-1] + level[1:-1, :-2] + level[1:-1, 2:]
    return np.float32(variance(beside - 4 * level[1:-1, 1:-1]))


def perceptual_hash(luminance: NDArray[np.uint8]) -> int | None:
    if min(luminance.shape) < 8:
        return None
    (lines, down), (columns, across) = (cosines(length) for length in luminance.shape)
    samples = luminance[np.ix_(lines, columns)].astype(np.int64)
    frequencies = (down @ samples @ across.T).ravel()
    frequencies[0] = 0
    faint = 0.05 * np.sqrt((frequencies.astype(np.float64) ** 2).mean())
    bits = "".join("1" if frequency > faint else "0" for frequency in frequencies)
    return int(bits, 2) if frequencies.any() else None


def cosines(length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pixels that are looked at, and 500 times the cosines of 0 to 7 half waves, each wave but 0 without a mean."""
    step = -(-length // 128)
    places = np.arange(((length - 1) % step) // 2, length, step)
    rows = []
    for half_waves in range(8):
        row = [round(500 * float(np.cos(np.pi * half_waves * (place + 0.5) / length))) for place in places]
        excess = sum(row) if half_waves else 0
        takers = {at * len(row) // (excess % len(row)) for at in range(excess % len(row))}
        rows.append([value - excess // len(row) - (at in takers) for at, value in enumerate(row)])
    return places, np.array(rows)


def colorfulness(pixels: NDArray[np.uint8]) -> np.float32:
    red, green, blue = np.moveaxis(pixels.astype(np.int64), -1, 0)
    rg, twice_yb = red - green, red + green - 2 * blue
    deviation = np.sqrt(variance(rg) + variance(twice_yb) / 4)
    return np.float32(deviation + 0.3 * np.hypot(rg.sum() / rg.size, twice_yb.sum() / rg.size / 2))


def palette(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    channels = pixels.reshape(-1, 3).astype(np.int64)
    cells = channels // 32 @ np.array([64, 8, 1])
    populations = np.bincount(cells, minlength=512)
    most = np.argsort(-populations, kind="stable")[:5]
    chosen = [cell for place, cell in enumerate(most) if place == 0 or populations[cell] / len(cells) >= 0.05]
    colours = []
    for cell in chosen:
        red, green, blue = np.floor(channels[cells == cell].sum(axis=0) / populations[cell] + 0.5).astype(int)
        code = red << 16 | green << 8 | blue
        colours.append((colour_name(int(code)), f"#{code:06x}", populations[cell] / len(cells)))
    return {
        "dominant_color": colours[0][0],
        "dominant_colors": list(dict.fromkeys(name for name, _, _ in colours)),
        "palette": f"[{','.join(as_json(*colour) for colour in colours)}]",
    }


def as_json(name: str, code: str, share: float) -> str:
    return f'{{"name":"{name}","color":"{code}","share":{share:.4f}}}'
