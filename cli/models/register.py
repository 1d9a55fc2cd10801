"""`flumen models register`: an ONNX file that was made elsewhere, and what is to be known of it."""

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from flumen.cli.invocation import as_called
from flumen.cli.models.index import tell_index
from flumen.cli.output import AsJson, console, errors, print_json
from flumen.interceptor.chain import Limits
from flumen.interceptor.classifier import Preprocess
from flumen.models.describing import Look, complete_look, describe_model, make_images, read_file, read_images
from flumen.models.errors import FileUnreadable
from flumen.models.labels import labels_of, repeated_labels
from flumen.models.manifest import Manifest, check_preprocess, from_person
from flumen.models.processes.decoder import GuardedDecoder
from flumen.models.processes.verifier import SHARED
from flumen.models.repository import CHAMPION, MAX_MANIFEST_BYTES, Repository
from flumen.models.structure import Signature
from flumen.models.verify import MAX_MODEL_BYTES, check_size
from flumen.streams.settings import load_settings

MAX_LABELS_BYTES = 4 * 1024 * 1024


def register(
    file: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="The model, with its weights inside.")],
    *,
    manifest: Annotated[
        Path | None, typer.Option(help="Its manifest as JSON, in place of all other facts.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the model.")] = None,
    labels: Annotated[str | None, typer.Option(help="Its classes in order, with commas between.")] = None,
    labels_file: Annotated[Path | None, typer.Option(help="Or a file of them, one a line.")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Of an image in pixels, where the file does not say.")
    ] = None,
    channels: Annotated[
        int | None, typer.Option(min=1, max=3, help="1 grey, 3 RGB, where the file does not say.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="flat, nchw or nhwc, where the file does not say.")
    ] = None,
    resize: Annotated[
        str | None, typer.Option(help="Images of other proportions: stretch, crop or pad; stretch.")
    ] = None,
    crop: Annotated[
        float | None, typer.Option(help="With crop: the share a side to take of the middle, as 0.875; 1.")
    ] = None,
    fill: Annotated[int | None, typer.Option(help="With pad: the value around the image; 0.")] = None,
    resampling: Annotated[str | None, typer.Option(help="bilinear, bicubic or nearest; bilinear.")] = None,
    threshold: Annotated[int | None, typer.Option(help="Values above it become 1, others 0.")] = None,
    scale: Annotated[float | None, typer.Option(help="Else (value * scale - mean) / std; 1/255.")] = None,
    mean: Annotated[
        str | None, typer.Option(metavar="M[,M,M]", help="One number, or one a channel; 0.")
    ] = None,
    std: Annotated[str | None, typer.Option(metavar="S[,S,S]", help="Likewise; 1.")] = None,
    output: Annotated[str | None, typer.Option(help="The tensor to read, where there are several.")] = None,
    embedding: Annotated[
        str | None,
        typer.Option(help="An output beside it that says which images are alike, as the last hidden layer."),
    ] = None,
    golden: Annotated[
        list[Path] | None,
        typer.Option(help="An image whose answer is kept, to know the model by; repeat it. Else made ones."),
    ] = None,
    root: Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Verify an ONNX file and keep it as the next version of a model; the first becomes the champion."""
    settings = load_settings()
    content = read_file(file, MAX_MODEL_BYTES + 1)
    check_size(content, str(file))
    look = Look(_size(size), channels, layout)
    picture = {"resize": resize, "crop": crop, "fill": fill, "resampling": resampling}
    values = {"threshold": threshold, "scale": scale, "mean": _numbers(mean), "std": _numbers(std)}
    if manifest is not None:
        facts = (name, labels, labels_file, size, channels, layout, output, embedding, golden)
        if any(fact is not None for fact in (*facts, *picture.values(), *values.values())):
            raise typer.BadParameter("--manifest says everything; leave the other facts out, or leave out it")
        described = from_person(_read(manifest, MAX_MANIFEST_BYTES), str(manifest))
    else:
        if name is None or (labels is None) == (labels_file is None):
            raise typer.BadParameter("give --manifest, or --name and --labels or --labels-file")
        limits = settings.verify_limits()
        signature = _with_output(SHARED.read_signature(content, str(file), limits), output, embedding)
        preprocess = _preprocess(look, picture, values, signature)
        images = _golden(golden, preprocess, settings.limits()) if golden else make_images(preprocess)
        classes = _labels(labels, labels_file)
        described = describe_model(
            content, name, classes, preprocess, signature, images, embedding=embedding, limits=limits
        )
    repository = Repository(root or settings.model_repository, limits=settings.verify_limits())
    version = _keep(repository, content, described, as_json)
    tell_index(settings, repository, repository.manifest(described.name, version))


def _golden(paths: list[Path], preprocess: Preprocess, limits: Limits) -> NDArray[np.uint8]:
    with closing(GuardedDecoder(measures=False)) as decoder:
        return read_images(paths, preprocess, limits, decoder)


def _keep(repository: Repository, content: bytes, described: Manifest, as_json: bool) -> int:
    name = described.name
    version = repository.register(content, described)
    for label, positions in repeated_labels(described.labels).items():
        errors.print(
            f"The classes {' and '.join(map(str, positions))}, counted from 0, have one label, {label!r}: whoever "
            "searches for it finds all of them. `prediction` tells them apart, or labels of their own.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    is_first = repository.alias(name, CHAMPION) is None
    if is_first:
        repository.set_alias(name, CHAMPION, version)
    if as_json:
        print_json({"name": name, "version": version, "sha256": described.sha256, "champion": is_first})
        return version
    console.print(f"Registered {name}@{version} in {repository.url}", markup=False, highlight=False)
    say = (
        "It is the champion." if is_first else f"`flumen models activate {name}@{version}` lets it classify."
    )
    console.print(as_called(say), markup=False, highlight=False)
    return version


def _preprocess(
    look: Look, picture: dict[str, Any], values: dict[str, Any], signature: Signature
) -> Preprocess:
    given = {key: value for key, value in values.items() if value is not None}
    if "threshold" in given and len(given) > 1:
        raise typer.BadParameter("--threshold makes values 0 or 1: leave --scale, --mean and --std out")
    for option, mode in (("crop", "crop"), ("fill", "pad")):
        if picture[option] is not None and picture["resize"] != mode:
            raise typer.BadParameter(f"--{option} is for --resize {mode}: give both, or leave it out")
    given |= {key: value for key, value in picture.items() if value is not None}
    preprocess = replace(complete_look(look, signature), **given)
    check_preprocess(preprocess, "what the options say of an image")
    return preprocess


def _with_output(signature: Signature, output: str | None, embedding: str | None) -> Signature:
    if output is not None:
        return replace(signature, outputs=(output,))
    return replace(signature, outputs=tuple(name for name in signature.outputs if name != embedding))


def _labels(listed: str | None, file: Path | None) -> list[str]:
    if file is None:
        return [label.strip() for label in (listed or "").split(",")]
    return labels_of(_read(file, MAX_LABELS_BYTES), str(file))


def _read(path: Path, at_most: int) -> bytes:
    content = read_file(path, at_most + 1)
    if len(content) > at_most:
        raise FileUnreadable(f"{path} has more than {at_most:,} bytes, the most that is read of it")
    return content


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if found is None:
        raise typer.BadParameter(f"--size {text!r}: give width x height in pixels, as in 28x28")
    return int(found[1]), int(found[2])


def _numbers(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: give one number, or three with commas between") from error
