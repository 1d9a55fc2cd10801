"""From files to pixels of the model's size, by the live path's own decoding and within its limits."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.decoding import raster_shape
from flumen.interceptor.errors import EmptyImage, ImageTooLarge, Unclassifiable
from flumen.interceptor.plain_pixels import GreyOfModelsSize
from flumen.interceptor.small import small_size
from flumen.models.datasets.source import OTHER_SIZE, UNDECODABLE, Skip
from flumen.models.processes.decoder import GuardedDecoder


class Pictures:
    """Decodes many files at once: small ones here, each other one in one of so many processes, held to the limits.

    With `any_size` False, an image of another size than the model's is left out in place of being resized.
    """

    def __init__(
        self,
        preprocess: Preprocess,
        limits: Limits | None = None,
        *,
        processes: int = 1,
        any_size: bool = True,
    ) -> None:
        limits = limits or Limits()
        self._lanes = [_Lane(preprocess, limits, any_size) for _ in range(processes)]
        self._threads = ThreadPoolExecutor(processes, "flumen-pictures")
        self._shape = raster_shape(preprocess)

    def decode(
        self, ids: Sequence[str], contents: Sequence[bytes]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[Skip]]:
        """Decode files.

        Returns:
            The pixels of those that could be decoded, uint8, k x height x width [x 3], in order; of each file whether
            it is among them; and the others.
        """
        pixels = np.empty((len(ids), *self._shape), np.uint8)
        kept = np.ones(len(ids), np.bool_)
        parts = [range(lane, len(ids), len(self._lanes)) for lane in range(len(self._lanes))]
        work = [
            self._threads.submit(lane.decode, rows, ids, contents, pixels)
            for lane, rows in zip(self._lanes, parts, strict=True)
        ]
        skipped = dict(skip for done in work for skip in done.result())
        kept[list(skipped)] = False
        return pixels if kept.all() else pixels[kept], kept, [skipped[row] for row in sorted(skipped)]

    def close(self) -> None:
        """End the processes and threads. A second call does nothing."""
        for lane in self._lanes:
            lane.decoder.close()
        self._threads.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Lane:
    """Decodes one file after another."""

    def __init__(self, preprocess: Preprocess, limits: Limits, any_size: bool) -> None:
        self.decoder = GuardedDecoder(measures=False)
        self._of_models_size = GreyOfModelsSize(preprocess, limits)
        self._preprocess = preprocess
        self._limits = limits
        self._any_size = any_size

    def decode(
        self, rows: range, ids: Sequence[str], contents: Sequence[bytes], pixels: NDArray[np.uint8]
    ) -> list[tuple[int, Skip]]:
        skipped = []
        for row in rows:
            try:
                why = self._decode(contents[row], pixels[row])
            except Unclassifiable as error:
                skipped.append((row, Skip(UNDECODABLE, ids[row], str(error))))
            else:
                if why:
                    skipped.append((row, Skip(OTHER_SIZE, ids[row], why)))
        return skipped

    def _decode(self, content: bytes, samples: NDArray[np.uint8]) -> str:
        self._check_bytes(len(content))
        if small_size(content) is not None and self._of_models_size.read(content, samples) is not None:
            return ""
        decoded = self.decoder(content, self._limits, self._preprocess)
        wanted = (self._preprocess.width, self._preprocess.height)
        if not self._any_size and (decoded.width, decoded.height) != wanted:
            return f"{decoded.width}x{decoded.height}"
        samples[...] = np.frombuffer(decoded.raster, np.uint8).reshape(samples.shape)
        return ""

    def _check_bytes(self, size: int) -> None:
        if not size:
            raise EmptyImage("it has no bytes")
        if size > self._limits.max_image_bytes:
            raise ImageTooLarge(
                f"it has {size:,} bytes and max_image_bytes is {self._limits.max_image_bytes:,}"
            )
