"""The second interceptor: from an image's bytes to pixels of the model's size."""

import warnings

import numpy as np

from flumen.interceptor.batch import Batch, Intercepted, partition
from flumen.interceptor.chain import Context
from flumen.interceptor.columns import Column, Kind
from flumen.interceptor.decoding import Decoded, decode_image, raster_shape
from flumen.interceptor.errors import Unclassifiable
from flumen.interceptor.formats import formats
from flumen.interceptor.pgm import netpbm_header
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
        statistics see of each image; `measured`: their statistics, None where they are not measured yet; `metadata`:
        what each file says beside its pixels. The last two as `flumen.interceptor.decoding.Decoded` has them.

        Raises:
            InterceptorError: `formats` of the limits names one that Pillow does not know.
        """
        preprocess, limits = context.classifier.preprocess, context.limits
        formats(limits.formats)  # a setting that is wrong is told without an image, too
        beside = context.decoder or decode_image
        small = batch.columns.get("small") or [small_size(image.content) for image in batch.images]
        images: list[Decoded] = []
        errors: dict[int, Unclassifiable] = {}
        for row, image in enumerate(batch.images):
            decode = beside if small[row] is None else decode_image
            try:
                images.append(decode(image.content, limits, preprocess))
            except Unclassifiable as error:
                errors[row] = about(image, error)
        step = partition(batch, "decode", errors)
        header = netpbm_header(preprocess.width, preprocess.height, preprocess.channels)
        pixels = np.frombuffer(bytearray().join(image.raster for image in images), np.uint8)
        oks = step.oks.with_columns(
            format=[image.format for image in images],
            width=np.array([image.width for image in images], dtype=np.int32),
            height=np.array([image.height for image in images], dtype=np.int32),
            image_as_pgm=[header + image.raster for image in images],
            pixels=pixels.reshape(len(images), *raster_shape(preprocess)),
            views=[image.view for image in images],
            measured=[image.statistics for image in images],
            metadata=[image.metadata for image in images],
        )
        return Intercepted(oks, step.errs)
