"""What is known of a model: how to feed it, what it answers, how it was made, how good it is. It is JSON."""

import codecs
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import from_json as from_json_text

from flumen.interceptor.answers import SUM_TOLERANCE
from flumen.interceptor.classifier import Preprocess
from flumen.models.errors import ManifestInvalid, ManifestTooNew
from flumen.models.names import MAX_VERSION, NAME_PATTERN

MAX_EMBEDDING = 1024
"""Dimensions of an embedding: the most that Lucene indexes (`KnnVectorsFormat.DEFAULT_MAX_DIMENSIONS`)."""

SCHEMA = 1
"""The newest schema of a manifest that is read here; that of a manifest which says none."""

UNREGISTERED = 0
"""The version of a model that no repository has given a number yet."""

MAX_SIDE = 8192
MAX_VALUE = 255
MEAN_EDGES = tuple(range(0, 257, 4))
"""Edges of the bins that images are counted in by the mean of their values: above one, at most the next."""

CHANNELS = (1, 3)
LAYOUTS = ("flat", "nchw", "nhwc")
RESIZES = ("stretch", "crop", "pad")
RESAMPLINGS = ("bilinear", "bicubic", "nearest")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=2**53)]
NotNegative = Annotated[float, Field(ge=0)]
_IF_MEASURED = Field(exclude_if=lambda value: value is None)
TensorName = Annotated[str, Field(min_length=1, max_length=256)]
Label = Annotated[str, Field(min_length=1, max_length=256)]


@dataclass(frozen=True, slots=True)
class ModelInput:
    """The tensor a model reads: its name, its shape without the batch axis, and how pixels become it."""

    tensor: TensorName
    shape: tuple[int, ...]
    dtype: Literal["float32"]
    preprocess: Preprocess


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """The tensor a model answers with: float32, n x labels, each row a distribution.

    `embedding`: another one, float32, n x dimensions, where images that show the same lie near one another, such as the
    last hidden layer; None, and left out of the JSON, where the model names none.
    """

    tensor: TensorName
    embedding: Annotated[TensorName | None, _IF_MEASURED] = None


@dataclass(frozen=True, slots=True)
class Golden:
    """An image with the answer the model gave when it was made.

    `pixels`: height * width * channels bytes at the model's size, in that order; base64 in JSON.
    `probabilities`: one a label.
    """

    pixels: bytes
    probabilities: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Training:
    """How a model was made. `software` names the versions that its weights depend on."""

    data: str
    data_sha256: Sha256
    images: Count
    seed: int
    parameters: dict[str, int | float | str]
    duration_s: Annotated[float, Field(ge=0)]
    software: dict[str, str]


@dataclass(frozen=True, slots=True)
class Scores:
    """How a model did on images it was not trained on; `confusion[known][predicted]` counts images.

    What follows it is None, and left out of the JSON, where it was not measured. `accuracy_interval`: of confidence
    0.95. `log_loss` in nats, `brier` 0 to 2. `robustness`: mean accuracy on images disturbed in each of these ways.
    """

    data_sha256: Sha256
    images: Count
    accuracy: Share
    precision: Share
    recall: Share
    f1: Share
    confusion: tuple[tuple[Count, ...], ...]
    accuracy_interval: Annotated[tuple[Share, Share] | None, _IF_MEASURED] = None
    macro_f1: Annotated[Share | None, _IF_MEASURED] = None
    log_loss: Annotated[NotNegative | None, _IF_MEASURED] = None
    brier: Annotated[NotNegative | None, _IF_MEASURED] = None
    calibration_error: Annotated[Share | None, _IF_MEASURED] = None
    robustness: Annotated[dict[str, Share] | None, _IF_MEASURED] = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What the training images were like, to see later whether the images that arrive still are.

    `class_counts`: training images a label. `pixel_mean`, `pixel_std`: of all values, 0..255.
    `foreground`: the mean share of an image above the threshold; null for a model without one. `image_means`: training
    images by the mean of their values, in bins between `MEAN_EDGES`; None, and left out of the JSON, where not counted.
    """

    class_counts: tuple[Count, ...]
    pixel_mean: Annotated[float, Field(ge=0, le=255)]
    pixel_std: Annotated[float, Field(ge=0, le=255)]
    foreground: Share | None
    image_means: Annotated[tuple[Count, ...] | None, _IF_MEASURED] = None


# Other types and NaN are errors, here and in everything nested; unknown keys are ignored. A key that is added has a
# default, and whatever an older version may not ignore makes SCHEMA rise, written where it is above 1.
@with_config(
    ConfigDict(
        extra="ignore", strict=True, allow_inf_nan=False, ser_json_bytes="base64", val_json_bytes="base64"
    )
)
@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything a repository knows of one version of a model. What is not known is null, never left out."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    version: Annotated[int, Field(ge=UNREGISTERED, le=MAX_VERSION)]
    sha256: Sha256
    input: ModelInput
    output: ModelOutput
    labels: Annotated[tuple[Label, ...], Field(min_length=1, max_length=65_536)]
    training: Training | None
    scores: Scores | None
    profile: Profile | None
    golden: Annotated[tuple[Golden, ...], Field(min_length=1, max_length=1000)]

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@with_config(ConfigDict(extra="ignore", strict=True))
@dataclass(frozen=True, slots=True)
class _Schema:
    """What a manifest of any schema says of itself."""

    schema: Annotated[int, Field(ge=1, le=2**53)] = 1


_ADAPTER = TypeAdapter(Manifest)
_SCHEMA = TypeAdapter(_Schema)
_NUMBERS = re.compile(r"\[\n\s+([^\[\]{}\"]+?)\n\s+\]")


def to_json(manifest: Manifest) -> bytes:
    """Return the manifest as JSON, indented, each list of numbers on one line."""
    text = _ADAPTER.dump_json(manifest, indent=2).decode()
    # JSON has no line breaks within strings, so only lists can match.
    return _NUMBERS.sub(lambda match: "[" + " ".join(match[1].split()) + "]", text).encode() + b"\n"


def from_json(content: bytes, source: str = "the manifest") -> Manifest:
    """Read a manifest, and check that it does not contradict itself.

    Args:
        content: JSON in UTF-8, from anywhere, with or without a byte order mark.
        source: what error messages call it.

    Raises:
        ManifestTooNew: its schema is newer than this version of flumen reads.
        ManifestInvalid: not JSON, a key missing, a value of another type or out of bounds, or parts that do not
            fit each other.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        schema = _SCHEMA.validate_json(content).schema
        if schema > SCHEMA:
            raise ManifestTooNew(
                f"{source} has schema {schema}, and this version of flumen reads {SCHEMA} at most. Upgrade flumen here"
            )
        manifest = _ADAPTER.validate_json(content)
    except ValidationError as error:
        raise ManifestInvalid(f"{source} is not valid: {_explain(error)}") from error
    check_consistent(manifest, source)
    return manifest


def from_person(content: bytes, source: str) -> Manifest:
    """Read a manifest that somebody wrote by hand: a key that is unknown is a slip, and no later version's.

    Raises:
        ManifestInvalid: as `from_json`, or a key is unknown.
    """
    manifest = from_json(content, source)
    written = from_json_text(content.removeprefix(codecs.BOM_UTF8))
    for path in _unknown(written, from_json_text(_ADAPTER.dump_json(manifest))):
        raise ManifestInvalid(f"{source} is not valid: {path}: there is no such key")
    return manifest


def check_consistent(manifest: Manifest, source: str) -> None:
    """Check that the parts of a manifest fit each other; golden images only if it has some.

    Raises:
        ManifestInvalid: they do not. `source` is what the message calls it.
    """
    for contradiction in _contradictions(manifest):
        raise ManifestInvalid(f"{source} is not valid: {contradiction}")


def check_preprocess(preprocess: Preprocess, source: str) -> None:
    """Check that images can be prepared like this.

    Raises:
        ManifestInvalid: a value is out of bounds. `source` is what the message calls it.
    """
    for error in _preprocess_errors(preprocess):
        raise ManifestInvalid(f"{source} is not valid: {error}")


def tensor_shape(preprocess: Preprocess) -> tuple[int, ...]:
    """Return the shape of one image's tensor, without the batch axis."""
    height, width, channels = preprocess.height, preprocess.width, preprocess.channels
    shapes = {"nchw": (channels, height, width), "nhwc": (height, width, channels)}
    return shapes.get(preprocess.layout, (height * width * channels,))


def _unknown(written: object, known: object, path: str = "") -> Iterator[str]:
    """Yield where a document has keys that what was read of it has not."""
    if isinstance(written, dict) and isinstance(known, dict):
        for key, part in written.items():
            where = f"{path}.{key}" if path else key
            if key in known:
                yield from _unknown(part, known[key], where)
            elif where != "schema":
                yield where
    elif isinstance(written, list) and isinstance(known, list):
        for number, (part, known_part) in enumerate(zip(written, known, strict=False)):
            yield from _unknown(part, known_part, f"{path}.{number}")


def _explain(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False, include_context=False)
    where = ".".join(str(part) for part in first["loc"]) or "the document"
    more = f" (and {len(others)} more)" if others else ""
    return f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}{more}"


def _contradictions(manifest: Manifest) -> Iterator[str]:
    yield from _preprocess_errors(manifest.input.preprocess)
    expected = tensor_shape(manifest.input.preprocess)
    if manifest.input.shape != expected:
        yield f"input.shape is {manifest.input.shape}, and preprocess makes {expected}"
    if manifest.output.embedding == manifest.output.tensor:
        yield f"output.embedding is {manifest.output.tensor!r}, which is the answer itself"
    labels = len(manifest.labels)
    yield from _label_errors(manifest.labels)
    size = math.prod(expected)
    for row, golden in enumerate(manifest.golden):
        if len(golden.pixels) != size:
            yield f"golden.{row}.pixels: {len(golden.pixels)} bytes, and an image has {size}"
        if len(golden.probabilities) != labels:
            yield f"golden.{row}.probabilities: {len(golden.probabilities)} for {labels} labels"
        if abs(sum(golden.probabilities) - 1) > SUM_TOLERANCE:
            yield f"golden.{row}.probabilities: their sum is {sum(golden.probabilities):.6f}, not 1"
    if manifest.profile:
        yield from _profile_errors(manifest.profile, labels)
    if manifest.scores and {len(manifest.scores.confusion), *map(len, manifest.scores.confusion)} != {labels}:
        yield f"scores.confusion: it is not {labels} x {labels}"


def _label_errors(labels: tuple[str, ...]) -> Iterator[str]:
    for position, label in enumerate(labels):
        if not label.isprintable():
            yield f"labels.{position}: {label!r} has characters that cannot be printed"


def _profile_errors(profile: Profile, labels: int) -> Iterator[str]:
    if len(profile.class_counts) != labels:
        yield f"profile.class_counts: {len(profile.class_counts)} for {labels} labels"
    bins = len(MEAN_EDGES) - 1
    if profile.image_means is not None and len(profile.image_means) != bins:
        yield f"profile.image_means: {len(profile.image_means)} counts for {bins} bins"


def _preprocess_errors(preprocess: Preprocess) -> Iterator[str]:
    where = "input.preprocess"
    if not (1 <= preprocess.width <= MAX_SIDE and 1 <= preprocess.height <= MAX_SIDE):
        yield f"{where}: width and height are from 1 to {MAX_SIDE} pixels"
    if preprocess.channels not in CHANNELS:
        yield f"{where}.channels: {preprocess.channels}; allowed are 1 (grey) and 3 (RGB)"
    if preprocess.threshold is not None and not 0 <= preprocess.threshold <= MAX_VALUE:
        yield f"{where}.threshold: {preprocess.threshold}; allowed are 0 to 255, or null"
    if not {len(preprocess.mean), len(preprocess.std)} <= {1, preprocess.channels}:
        yield f"{where}: mean and std have 1 or {preprocess.channels} values"
    if any(std <= 0 for std in preprocess.std):
        yield f"{where}.std: a value that is not above 0"
    for name, allowed in (("layout", LAYOUTS), ("resize", RESIZES), ("resampling", RESAMPLINGS)):
        if getattr(preprocess, name) not in allowed:
            yield f"{where}.{name}: {getattr(preprocess, name)!r}; allowed are {', '.join(allowed)}"
    yield from _frame_errors(preprocess, where)


def _frame_errors(preprocess: Preprocess, where: str) -> Iterator[str]:
    if not 0 < preprocess.crop <= 1:
        yield f"{where}.crop: {preprocess.crop}; it is a share above 0, at most 1"
    if preprocess.crop != 1 and preprocess.resize != "crop":
        yield f"{where}.crop: {preprocess.crop}, and resize is {preprocess.resize!r}, which takes nothing away"
    if not 0 <= preprocess.fill <= MAX_VALUE:
        yield f"{where}.fill: {preprocess.fill}; allowed are 0 to 255"
