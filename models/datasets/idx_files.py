"""The images of an IDX file, with the labels of the one beside it, as a source."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flumen.interceptor import Preprocess
from flumen.interceptor.framing import frame
from flumen.interceptor.pgm import netpbm_header
from flumen.models.datasets.dataset import read_labelled
from flumen.models.datasets.files import Decoding, as_number, state_of
from flumen.models.datasets.source import BATCH_IMAGES, OTHER_LABEL, ImageBatch, Skip, outside_classes

_NAME = re.compile(r"(?P<stem>.+?)([-.]idx[0-9]?(-ubyte)?|-ubyte)?(\.gz)?", re.IGNORECASE | re.DOTALL)


class IdxSource:
    """`flumen.models.datasets.source.ImageSource` over a pair of IDX files, plain or compressed by gzip.

    An id is the one under which `flumen produce` publishes the image: `t10k-images-00007`. The files are read into
    memory as a whole; they have 1 GiB at most.

    Raises:
        IdxInvalid: a file is missing or damaged.
        DatasetInvalid: the files do not belong together.
    """

    def __init__(
        self,
        images: str | os.PathLike[str],
        known: str | os.PathLike[str],
        decoding: Decoding | None = None,
        labels: tuple[str, ...] = (),
    ) -> None:
        self._paths = Path(images), Path(known)
        self._images = read_labelled(*self._paths)
        self.labels = labels
        height, width = self._images.pixels.shape[1:]
        self._size = width, height
        self._decoding = decoding or Decoding(Preprocess(width, height))

    @property
    def text(self) -> str:
        """The file of the images."""
        return str(self._paths[0])

    @property
    def selection(self) -> Mapping[str, Any]:
        """How images become one size: all rows are read."""
        return {"any_size": self._decoding.any_size}

    @property
    def state(self) -> str:
        """A hash of the files' names, sizes and times."""
        return state_of(self._paths, self._decoding)

    @property
    def preprocess(self) -> Preprocess:
        """The size at which images are given; their own, unless another one is asked for."""
        return self._decoding.preprocess

    def scan(self, position: str = "") -> Iterator[ImageBatch]:
        """Read the images. See `flumen.models.datasets.source.ImageSource.scan`."""
        match = _NAME.fullmatch(self._paths[0].name)
        assert match is not None
        stem = match["stem"]
        start = as_number(position)
        with self._decoding.pictures() as pictures:
            for first in range(start, len(self._images.pixels), BATCH_IMAGES):
                pixels = self._images.pixels[first : first + BATCH_IMAGES]
                labels = self._images.labels[first : first + BATCH_IMAGES].astype(np.int32)
                ids = [f"{stem}-{row:05d}" for row in range(first, first + len(pixels))]
                end = str(first + len(pixels))
                kept = ~outside_classes(labels, self.labels)
                skipped = [
                    Skip(OTHER_LABEL, ids[row], str(labels[row])) for row in np.flatnonzero(~kept).tolist()
                ]
                if not self._is_as_wanted():
                    header = netpbm_header(*self._size, 1)
                    pixels, decoded, more = pictures.decode(ids, [header + each.tobytes() for each in pixels])
                    skipped += [skip for skip in more if skip.id not in {each.id for each in skipped}]
                    pixels = pixels[kept[decoded]]
                    kept = kept & decoded
                else:
                    pixels = pixels[kept]
                ids = [ids[row] for row in np.flatnonzero(kept).tolist()]
                yield ImageBatch(ids, ids, pixels, labels[kept], end, skipped)

    def _is_as_wanted(self) -> bool:
        wanted = self._decoding.preprocess
        size = wanted.width, wanted.height
        return wanted.channels == 1 and self._size == size and frame(size, size, wanted).is_whole
