"""What a model sees of a stored image, drawn anew from the original."""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.pgm import netpbm_header
from flumen.models.datasets.pictures import Pictures
from flumen.models.errors import ModelError
from flumen.stores.errors import StoreError


class ReadImages(Protocol):
    """What is needed of a `KuduReader`."""

    def read_image(self, image_id: str) -> bytes:
        """Return an image as it was published."""


class StoredViews:
    """Draws views; `preprocess_of` says how a model sees images, by its name and version."""

    def __init__(
        self, images: ReadImages, preprocess_of: Callable[[str, int], Preprocess], limits: Limits
    ) -> None:
        self._images = images
        self._preprocess_of = preprocess_of
        self._limits = limits

    def redraw(self, image_id: str, model: str, version: int) -> bytes | None:
        """Return what a model sees of an image, or None: see `flumen.replay.reclassify.restoring.Redraw`."""
        with suppress(ModelError, StoreError, KeyError):
            preprocess = self._preprocess_of(model, version)
            content = self._images.read_image(image_id)
            with Pictures(preprocess, self._limits) as pictures:
                pixels, _, _ = pictures.decode([image_id], [content])
            if len(pixels):
                header = netpbm_header(preprocess.width, preprocess.height, preprocess.channels)
                return header + bytes(pixels[0].tobytes())
        return None
