"""One image: its row, in groups; the answers that it was given; what was corrected of it; its pictures."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from flumen.console.stores import ReadRows, Stores
from flumen.interceptor import Column, Kind
from flumen.stores.errors import NoSuchImage
from flumen.stores.kudu import Predicate
from flumen.stores.kudu.plain import plain_rows

SHOWN_AS_THEY_ARE = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "AVIF": "image/avif",
}
"""The formats that browsers show, as Pillow names them, with their media types."""

_ANSWERS = ("model", "model_version", "prediction", "confidence", "probabilities", "classified_at")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said of an image. `bars` are its labels with their probabilities, in the model's order."""

    model: str
    version: int
    label: str
    confidence: float | None
    classified_at: int | None
    current: bool
    bars: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Whole:
    """All that is known of an image: the row by column, its columns in groups, and every answer, the current first."""

    id: str
    row: Mapping[str, Any]
    groups: Mapping[str, Sequence[tuple[Column, Any]]]
    answers: Sequence[Answer]
    classes: Sequence[str]


async def see(stores: Stores, image_id: str) -> Whole:
    """Return all that Kudu holds of an image, but for its bytes.

    Raises:
        NoSuchImage: there is none of that id.
        StoreError: Kudu does not answer.
    """
    row, former = await stores.rows.ask(lambda rows: _read(rows, image_id))
    if row is None:
        raise no_such_image(image_id)
    groups = {
        name: [
            (column, _plain(column, row.get(column.name)))
            for column in columns
            if not isinstance(row.get(column.name), bytes)
        ]
        for name, columns in stores.groups.items()
    }
    model, version = row.get("model"), row.get("model_version")
    answered = model is not None and version is not None
    answers = [_answer(stores, row, current=True)] if answered else []
    answers += [
        _answer(stores, each, current=False)
        for each in sorted(former, key=lambda each: each["classified_at"] or 0, reverse=True)
        if (each["model"], each["model_version"]) != (model, version)
    ]
    return Whole(
        image_id, row, groups, answers, stores.classes(str(model), int(version or 0)) if answered else ()
    )


async def original(stores: Stores, image_id: str) -> tuple[bytes, str | None]:
    """Return an image as it was published, and its media type; None where browsers do not show such.

    Raises:
        NoSuchImage: there is none of that id.
        StoreError: Kudu does not answer, or the image is damaged there.
    """

    def read(rows: ReadRows) -> tuple[bytes, object]:
        for found in rows.scan("images", ["format"], [Predicate("id", "=", (image_id,))]):
            return rows.read_image(image_id), found.column("format")[0].as_py()
        raise no_such_image(image_id)

    content, image_format = await stores.rows.ask(read)
    return content, SHOWN_AS_THEY_ARE.get(str(image_format))


async def view_as_png(stores: Stores, image_id: str) -> bytes:
    """Return what the classifier saw of an image, as PNG.

    Raises:
        NoSuchImage: there is none of that id, or nothing was seen of it.
        StoreError: Kudu does not answer.
    """

    def read(rows: ReadRows) -> bytes:
        try:
            return rows.read_view(image_id)
        except (KeyError, TypeError):
            raise no_such_image(image_id) from None

    view = await stores.rows.ask(read)
    buffer = io.BytesIO()
    # Ours, written by the worker: a raster with a header of a few bytes.
    with Image.open(io.BytesIO(view), formats=["PPM"]) as picture:
        picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _plain(column: Column, value: Any) -> Any:
    """Return lists and tables as such: Kudu has them as JSON."""
    if column.kind in (Kind.STRINGS, Kind.JSON) and isinstance(value, str):
        return json.loads(value)
    return value


def no_such_image(image_id: str) -> NoSuchImage:
    """Return the error that says so."""
    return NoSuchImage(
        f"there is no image {image_id[:200]!r} in Kudu; perhaps it was deleted, or never stored"
    )


def _read(rows: ReadRows, image_id: str) -> tuple[Mapping[str, Any] | None, list[dict[str, Any]]]:
    row = rows.get(image_id)
    former: list[dict[str, Any]] = []
    if row is not None and "predictions" in rows.tables():
        for found in rows.scan("predictions", _ANSWERS, [Predicate("id", "=", (image_id,))]):
            former += plain_rows(found)
    return row, former


def _answer(stores: Stores, row: Mapping[str, Any], *, current: bool) -> Answer:
    labels = stores.classes(row["model"], row["model_version"])
    probabilities = np.frombuffer(row.get("probabilities") or b"", "<f4")
    prediction = row.get("prediction")
    if prediction is not None and 0 <= prediction < len(labels):
        label = labels[prediction]
    else:
        label = row.get("label") or str(prediction)
    names = labels if len(labels) == len(probabilities) else [str(each) for each in range(len(probabilities))]
    return Answer(
        row["model"],
        row["model_version"],
        label,
        row.get("confidence"),
        row.get("classified_at"),
        current,
        [(name, float(each)) for name, each in zip(names, probabilities, strict=True)],
    )
