"""What classifiers saw of stored images, as pixels: a whole batch at once, where it fits what is wanted."""

import functools
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flumen.interceptor import Preprocess
from flumen.interceptor.decoding import raster_shape
from flumen.interceptor.pgm import netpbm_header
from flumen.models.errors import ManifestInvalid, ModelNotFound
from flumen.models.repository import Repository

VIEW = ("image_as_pgm", "view_chunks", "model", "model_version")

PictureOf = Callable[[str, int], tuple[object, ...] | None]
"""`Preprocess.picture` of a model by its name and version; None where it is not known."""


def known_pictures(repository: Repository, wanted: Preprocess) -> PictureOf | None:
    """Return how the repository's models see images; None where none sees them as is wanted."""

    @functools.cache
    def picture_of(name: str, version: int) -> tuple[object, ...] | None:
        try:
            return repository.manifest(name, version).input.preprocess.picture
        except (ModelNotFound, ManifestInvalid):
            return None

    known = ((name, version) for name in repository.names() for version in repository.versions(name))
    return picture_of if any(picture_of(*each) == wanted.picture for each in known) else None


def made_alike(rows: pa.RecordBatch, preprocess: Preprocess, picture_of: PictureOf) -> NDArray[np.bool_]:
    """Say of each row whether its model sees images as this preprocessing has them."""
    models, versions = rows.column("model"), rows.column("model_version")
    alike = np.zeros(rows.num_rows, np.bool_)
    for model in pc.unique(models).to_pylist():
        for version in pc.unique(versions).to_pylist():
            if model is None or version is None or picture_of(model, version) != preprocess.picture:
                continue
            of_it = pc.and_(pc.equal(models, model), pc.equal(versions, version))
            alike |= of_it.fill_null(False).to_numpy(zero_copy_only=False)
    return alike


def fitting(views: pa.BinaryArray, preprocess: Preprocess) -> NDArray[np.bool_]:
    """Say of each view whether it is a file of the wanted size and channels; null is none."""
    header = _header(preprocess)
    size = len(header) + int(np.prod(raster_shape(preprocess)))
    right = pc.and_(pc.equal(pc.binary_length(views), size), pc.starts_with(views.cast(pa.binary()), header))
    return np.asarray(right.fill_null(False).to_numpy(zero_copy_only=False))


def pixels_of(views: pa.BinaryArray, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Return the pixels of views that all fit: uint8, n x height x width [x 3], over the memory of the views."""
    header, shape = _header(preprocess), raster_shape(preprocess)
    if not len(views):
        return np.empty((0, *shape), np.uint8)
    _, offsets, values = views.buffers()
    start = int(np.frombuffer(offsets, np.int32)[views.offset])
    size = len(header) + int(np.prod(shape))
    # All are of one length and none is null, so each begins where the one before it ends.
    files = np.frombuffer(values, np.uint8)[start : start + len(views) * size].reshape(len(views), size)
    return files[:, len(header) :].reshape(len(views), *shape)


def _header(preprocess: Preprocess) -> bytes:
    return netpbm_header(preprocess.width, preprocess.height, preprocess.channels)
