"""Which part of an image the model sees, and where in its picture: numbers alone, no pixels."""

from dataclasses import dataclass

from flumen.interceptor.classifier import Preprocess

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The part `box` of an image is resampled to `inner`, which stands in the middle of a picture of `size`.

    `box` is left, top, right and bottom as shares of the image's width and height, so that it holds for an image that
    was shrunk while it was decoded.
    """

    size: Size
    inner: Size
    box: tuple[float, float, float, float]

    @property
    def is_whole(self) -> bool:
        """Whether the whole image fills the whole picture."""
        return self.inner == self.size and self.box == _WHOLE

    @property
    def offset(self) -> Size:
        """Where the upper left corner of `inner` stands."""
        return (self.size[0] - self.inner[0]) // 2, (self.size[1] - self.inner[1]) // 2


_WHOLE = (0.0, 0.0, 1.0, 1.0)


def frame(image: Size, size: Size, preprocess: Preprocess) -> Frame:
    """Return how an image comes into the model's picture of this size, as `Preprocess.resize` says.

    Raises:
        ValueError: that is none of the ways that are known.
    """
    match preprocess.resize:
        case "stretch":
            return Frame(size, size, _WHOLE)
        case "crop":
            scale = max(size[0] / image[0], size[1] / image[1]) / preprocess.crop
            across, down = size[0] / scale / image[0], size[1] / scale / image[1]
            return Frame(size, size, ((1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2))
        case "pad":
            scale = min(size[0] / image[0], size[1] / image[1])
            inner = (max(1, round(image[0] * scale)), max(1, round(image[1] * scale)))
            return Frame(size, inner, _WHOLE)
    raise ValueError(f"resize is {preprocess.resize!r}; it is one of stretch, crop, pad")
