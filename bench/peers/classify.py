"""From messages to rows of 21 columns, as a good programmer does it in an afternoon: Pillow, NumPy, ONNX Runtime."""

import hashlib
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bench.peers.task import Task


@dataclass(frozen=True, slots=True)
class Received:
    """One message, whoever has read it."""

    key: bytes
    value: bytes
    headers: Mapping[str, bytes]
    partition: int
    offset: int


class Classifies(Protocol):
    """Makes rows of messages."""

    def rows(self, messages: Sequence[Received]) -> list[dict[str, Any]]:
        """Return a row a message, in their order."""


class Classifier:
    """The model of a task, by one thread."""

    def __init__(self, task: Task) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._task = task
        self._session = onnxruntime.InferenceSession(
            task.model_path, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def rows(self, messages: Sequence[Received]) -> list[dict[str, Any]]:
        """Return a row a message, in their order."""
        task, now = self._task, int(time.time() * 1_000_000)
        size, mode = self._picture()
        rows: list[dict[str, Any]] = []
        views = []
        for message in messages:
            image = Image.open(io.BytesIO(message.value))
            view = image.convert(mode)
            if view.size != size:
                view = ImageOps.fit(view, size, Image.Resampling.BILINEAR)
            views.append(np.asarray(view))
            magic = b"P5" if mode == "L" else b"P6"
            rows.append(
                {
                    "id": message.key.decode(),
                    "source": message.headers["ce_source"].decode(),
                    "name": message.headers["ce_subject"].decode(),
                    "size_bytes": len(message.value),
                    "sha256": hashlib.sha256(message.value).hexdigest(),
                    "knownlabel": int(message.headers["ce_knownlabel"]),
                    "ingested_at": now,
                    "format": image.format,
                    "width": image.width,
                    "height": image.height,
                    "image": message.value,
                    "image_as_pgm": b"%s\n%d %d\n255\n" % (magic, *size) + view.tobytes(),
                    "model": task.model,
                    "model_version": task.version,
                    "classified_at": now,
                }
            )
        (probabilities,) = self._session.run(None, {self._input: self._tensor(np.stack(views))})
        for row, answer in zip(rows, probabilities, strict=True):
            prediction = int(answer.argmax())
            row.update(
                prediction=prediction,
                label=task.labels[prediction],
                confidence=float(answer[prediction]),
                probabilities=answer.tobytes(),
            )
        return rows

    def _picture(self) -> tuple[tuple[int, int], str]:
        given = self._task.preprocess
        return (given["width"], given["height"]), "L" if given["channels"] == 1 else "RGB"

    def _tensor(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        given = self._task.preprocess
        if given["threshold"] is not None:
            return np.asarray(pixels.reshape(len(pixels), -1) > given["threshold"], dtype=np.float32)
        scaled = pixels.astype(np.float32) * np.float32(given["scale"])
        normal = (scaled - np.float32(given["mean"])) / np.float32(given["std"])
        return np.asarray(normal.transpose(0, 3, 1, 2), dtype=np.float32, order="C")
