"""Many images on one, each with its class: to look at a data set."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flumen.models.datasets.dataset import Labelled

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 56
"""Pixels that the longer side of an image has on the sheet: two for each of a digit of MNIST."""

_GAP, _CAPTION = 6, 14
_PAPER, _INK = "white", "black"
_MOST_LETTERS = 10


def contact_sheet(
    images: Labelled, names: Sequence[str] = (), *, most: int = 60, columns: int = 12
) -> "Image":
    """Return the first images side by side, in rows, with the name of its class below each.

    Args:
        images: which to show, at whatever size.
        names: of the classes, position = label; without them their numbers are shown.
        most: so many at most.
        columns: so many in a row.

    Returns:
        A picture in RGB, which a notebook shows as it is.
    """
    from PIL import Image, ImageDraw

    pixels, labels = images.pixels[:most], images.labels[:most].tolist()
    height, width = pixels.shape[1:3]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    step = (size[0] + _GAP, size[1] + _GAP + _CAPTION)
    across, down = min(columns, len(pixels)), -(-len(pixels) // columns)
    sheet = Image.new("RGB", (across * step[0] + _GAP, down * step[1] + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    # Pixels stay to be seen where an image is made larger.
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    for place, (one, label) in enumerate(zip(pixels, labels, strict=True)):
        left, top = _GAP + place % columns * step[0], _GAP + place // columns * step[1]
        sheet.paste(Image.fromarray(np.ascontiguousarray(one)).resize(size, how), (left, top))
        name = names[label] if names else str(label)
        draw.text((left, top + size[1]), name[:_MOST_LETTERS], fill=_INK)
    return sheet
