"""From an ONNX file that somebody else made, and what is told of it, to a manifest that a repository takes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.chain import Decoder, Limits
from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.decoding import raster_shape
from flumen.interceptor.errors import Unclassifiable
from flumen.models.errors import FileUnreadable, ManifestInvalid
from flumen.models.limits import DEFAULT_LIMITS, VerifyLimits
from flumen.models.manifest import (
    CHANNELS,
    UNREGISTERED,
    Golden,
    Manifest,
    ModelInput,
    ModelOutput,
    check_consistent,
    check_preprocess,
    tensor_shape,
)
from flumen.models.names import check_name
from flumen.models.processes.verifier import SHARED, Verifier
from flumen.models.structure import Signature

MADE_IMAGES = 8
_SEED = 20_170_301
_PLANES = 3


@dataclass(frozen=True, slots=True)
class Look:
    """The size and the order of an image's values; None where nobody said it. `size`: width, height in pixels."""

    size: tuple[int, int] | None = None
    channels: int | None = None
    layout: str | None = None


def complete_look(look: Look, signature: Signature) -> Preprocess:
    """Complete what was said by what the file says of its input; values become 0 to 1.

    Raises:
        ManifestInvalid: both together leave something open; the message names the option that says it.
    """
    shape = signature.shape
    layout = look.layout or _layout_of(shape)
    if layout is None:
        raise ManifestInvalid(
            f"the file reads images of shape {list(shape)}: give --layout flat, nchw or nhwc"
        )
    size, channels = look.size, look.channels
    if layout != "flat" and len(shape) == _PLANES:
        found, height, width = shape if layout == "nchw" else (shape[2], shape[0], shape[1])
        channels = channels or found
        size = size or ((width, height) if width and height else None)
    if size is None:
        raise ManifestInvalid(
            f"the file reads images of shape {list(shape)} and does not say how wide they are: give --size, as in 28x28"
        )
    if channels is None and layout in ("nchw", "nhwc"):
        raise ManifestInvalid(
            f"the file reads images of shape {list(shape)} and does not say how many colours they have: give "
            "--channels 1 for grey, 3 for RGB"
        )
    preprocess = Preprocess(*size, channels=channels or 1, layout=layout)
    check_preprocess(preprocess, "what the file and the options say of an image")
    return preprocess


def describe_model(
    content: bytes,
    name: str,
    labels: Sequence[str],
    preprocess: Preprocess,
    signature: Signature,
    images: NDArray[np.uint8],
    *,
    embedding: str | None = None,
    limits: VerifyLimits = DEFAULT_LIMITS,
    verifier: Verifier = SHARED,
) -> Manifest:
    """Return the manifest of a file, with the answers that it gives now to the golden images.

    Args:
        content: the ONNX file, from anywhere. It is run once its structure has passed.
        name: of the model.
        labels: the name of each class, in the order of the answers.
        preprocess: how pixels become the tensor that the model reads.
        signature: of the file, with the one output that is to be read.
        images: at least one, uint8, n x height x width, or n x height x width x 3.
        embedding: the output that says where an image lies among others, such as the last hidden layer.
        limits: what that may take.
        verifier: runs it.

    Raises:
        BadModelName: the name is not allowed.
        ManifestInvalid: the facts contradict each other, or the file has several outputs.
        ModelRefused: the subclass is the reason.
    """
    if len(signature.outputs) != 1:
        raise ManifestInvalid(
            f"the file has the outputs {', '.join(signature.outputs[:10])}: choose one by --output"
        )
    manifest = Manifest(
        name=check_name(name),
        version=UNREGISTERED,
        sha256=hashlib.sha256(content).hexdigest(),
        input=ModelInput(signature.input, tensor_shape(preprocess), "float32", preprocess),
        output=ModelOutput(signature.outputs[0], embedding),
        labels=tuple(labels),
        training=None,
        scores=None,
        profile=None,
        golden=(),
    )
    check_consistent(manifest, f"what is told of {name}")
    answers = verifier.answer(content, manifest, images, limits)
    golden = tuple(
        # In float32, 1 can come out as 1.0000001, which is no share.
        Golden(image.tobytes(), tuple(np.clip(answer, 0, 1).tolist()))
        for image, answer in zip(images, answers, strict=True)
    )
    return replace(manifest, golden=golden)


def read_images(
    paths: Sequence[Path], preprocess: Preprocess, limits: Limits, decoder: Decoder
) -> NDArray[np.uint8]:
    """Decode images as a worker does, at the model's size.

    `decoder` should be a guarded one: whoever made the files need not be whoever registers the model.

    Raises:
        FileUnreadable: one of them cannot be read, or is no image that a worker would take.
    """
    rasters = []
    for path in paths:
        content = read_file(path, limits.max_image_bytes + 1)
        if len(content) > limits.max_image_bytes:
            raise FileUnreadable(
                f"the golden image {path} has more than {limits.max_image_bytes:,} bytes (setting max_image_bytes)"
            )
        try:
            raster = decoder(content, limits, preprocess).raster
        except Unclassifiable as error:
            raise FileUnreadable(f"the golden image {path}: {error}") from error
        rasters.append(np.frombuffer(raster, np.uint8))
    return np.stack(rasters).reshape(len(paths), *raster_shape(preprocess))


def make_images(preprocess: Preprocess) -> NDArray[np.uint8]:
    """Make images where there are none at hand: black, white, a gradient each way, and noise. Always the same."""
    shape = raster_shape(preprocess)
    across = np.linspace(0, 255, preprocess.width).astype(np.uint8)
    down = np.linspace(0, 255, preprocess.height).astype(np.uint8)
    images = np.random.default_rng(_SEED).integers(0, 256, (MADE_IMAGES, *shape), dtype=np.uint8)
    images[0], images[1] = 0, 255
    images[2] = across.reshape(1, -1, *[1] * (len(shape) - 2))
    images[3] = down.reshape(-1, 1, *[1] * (len(shape) - 2))
    return images


def read_file(path: Path, at_most: int) -> bytes:
    """Return the first `at_most` bytes of a file that a user named.

    Raises:
        FileUnreadable: it is no file, or may not be read.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise FileUnreadable(f"there is no file {path}")
        with path.open("rb") as stream:
            return stream.read(at_most)
    except OSError as error:
        raise FileUnreadable(f"{path} cannot be read: {error.strerror}") from error


def _layout_of(shape: tuple[int | None, ...]) -> str | None:
    if len(shape) == 1:
        return "flat"
    if len(shape) != _PLANES:
        return None
    ways = [name for name, channels in (("nchw", shape[0]), ("nhwc", shape[2])) if channels in CHANNELS]
    return ways[0] if len(ways) == 1 else None
