"""The second interceptor: from an image's bytes to pixels of the model's size."""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.batch import Batch, ColumnValues, Intercepted, partition
from flumen.interceptor.chain import Context
from flumen.interceptor.columns import Column, Kind
from flumen.interceptor.decoding import Decoded, decode_image, raster_shape
from flumen.interceptor.errors import Unclassifiable
from flumen.interceptor.formats import formats
from flumen.interceptor.pgm import netpbm_header
from flumen.interceptor.plain import Told
from flumen.interceptor.plain_pixels import GreyOfModelsSize
from flumen.interceptor.reasons import about
from flumen.interceptor.small import small_size


class Decode:
    """Decodes images with Pillow, and rejects what is no image, a broken one, or one with too many pixels."""

    columns = (
        Column("format", Kind.STRING, "the image's format as Pillow names it, such as PNG"),
        Column("width", Kind.INT32, "its width in pixels, upright"),
        Column("height", Kind.INT32, "its height in pixels, upright"),
        Column(
            "image_as_pgm", Kind.BINARY, "what the classifier saw, at the model's size: binary PGM, or PPM"
        ),
    )

    def __init__(self) -> None:
        # What is wrong with an image stands in its rejection, not on the worker's standard error. The filter
        # stays: undoing it after each batch (`warnings.catch_warnings`) is not safe beside other threads.
        warnings.filterwarnings("ignore", module=r"PIL\.")

    def intercept(self, batch: Batch, context: Context) -> Intercepted:
        """Add the columns, and four that are not stored. `small`, where it is there, says what is small.

        `pixels`: uint8, n x height x width, or n x height x width x 3 for colour; `views`: uint8 arrays, what
        statistics see of each image, in a list, or those of `pixels` where that is what they see; `measured`: what they
        saw, None where they have not looked yet; `metadata`: what each file says beside its pixels. The last
        two as `flumen.interceptor.decoding.Decoded` has them.

        Raises:
            InterceptorError: `formats` of the limits names one that Pillow does not know.
        """
        preprocess, limits = context.classifier.preprocess, context.limits
        formats(limits.formats)  # a setting that is wrong is told without an image, too
        beside = context.decoder or decode_image
        small = batch.columns.get("small") or [small_size(image.content) for image in batch.images]
        pixels = np.empty((len(batch), *raster_shape(preprocess)), np.uint8)
        of_models_size = GreyOfModelsSize(preprocess, limits)
        images: list[Decoded | Told] = []
        errors: dict[int, Unclassifiable] = {}
        for row, image in enumerate(batch.images):
            samples = pixels[len(images)]
            told = None if small[row] is None else of_models_size.read(image.content, samples)
            if told is not None:
                images.append(told)
                continue
            decode = beside if small[row] is None else decode_image
            try:
                decoded = decode(image.content, limits, preprocess)
            except Unclassifiable as error:
                errors[row] = about(image, error)
            else:
                samples[...] = np.frombuffer(decoded.raster, np.uint8).reshape(samples.shape)
                images.append(decoded)
        step = partition(batch, "decode", errors)
        pixels = pixels[: len(images)]
        header = netpbm_header(preprocess.width, preprocess.height, preprocess.channels)
        oks = step.oks.with_columns(
            format=[image.format for image in images],
            width=np.array([image.width for image in images], dtype=np.int32),
            height=np.array([image.height for image in images], dtype=np.int32),
            image_as_pgm=[header + samples.tobytes() for samples in pixels],
            pixels=pixels,
            views=_views(images, pixels),
            measured=[image.statistics for image in images],
            metadata=[image.metadata for image in images],
        )
        return Intercepted(oks, step.errs)


def _views(images: Sequence[Decoded | Told], pixels: NDArray[np.uint8]) -> ColumnValues:
    """Return what statistics see of each image: of those of the model's size just what the model sees.

    It is read-only: to change it would change what the model sees.
    """
    shared = pixels.view()
    shared.flags.writeable = False
    if all(isinstance(image, Told) for image in images):
        return shared
    return [
        seen if isinstance(image, Told) else image.view for image, seen in zip(images, shared, strict=True)
    ]
