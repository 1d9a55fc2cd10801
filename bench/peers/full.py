"""Rows of all columns, by flumen's own interceptors called as a library.

So the loop in full and the worker in full measure the same figures by the same code, and differ in what is around it
alone: reading, threads, writing, acknowledging. Statistics written for this in an afternoon would be slower, and say
nothing of that.
"""

import json
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.classify import Received
from bench.peers.columns import STORED, Cell
from bench.peers.task import Task
from flumen.interceptor import Batch, Context, ImageMessage, Kind, intercept, load_chain, merge_columns
from flumen.models.repository import Repository

_KINDS = {
    Kind.STRING: "String",
    Kind.STRINGS: "String",
    Kind.JSON: "String",
    Kind.BINARY: "Binary",
    Kind.BOOL: "Boolean",
    Kind.INT32: "Int",
    Kind.INT64: "Long",
    Kind.FLOAT: "Float",
    Kind.DOUBLE: "Double",
    Kind.TIMESTAMP: "Long",
}


class FullClassifier:
    """All that flumen says of an image. `columns`: those it has, the image itself with them."""

    def __init__(self, task: Task) -> None:
        self._chain = load_chain()
        declared = merge_columns(interceptor.columns for interceptor in self._chain)
        self._lists = [column.name for column in declared if column.kind is Kind.STRINGS]
        names = dict.fromkeys(column.name for column in declared)
        kinds = {column.name: column.kind for column in declared}
        self.columns: Sequence[Cell] = [
            *(Cell(name, _KINDS[kinds[name]], kinds[name] is Kind.TIMESTAMP) for name in names),
            *(cell for cell in STORED if cell.name not in kinds),
        ]
        self.unsearched = [column.name for column in declared if column.kind is Kind.JSON]
        repository = Path(task.model_path).parents[2]
        self._model = Repository(str(repository)).load(task.model, task.version)

    def rows(self, messages: Sequence[Received]) -> list[dict[str, Any]]:
        """Return a row a message, in their order."""
        now = int(time.time() * 1_000_000)
        batch = Batch([_image(message, now) for message in messages])
        done = intercept(batch, Context(self._model, now), self._chain)
        if done.errs:
            raise SystemExit(f"an image was refused: {done.errs[0].error}")
        columns = {name: _plain(done.oks.columns[name]) for name in self._named(done.oks)}
        for name in columns.keys() & set(self._lists):
            columns[name] = [None if each is None else json.dumps(each) for each in columns[name]]
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        for row, image, answer in zip(rows, done.oks.images, done.oks.columns["probabilities"], strict=True):
            row.update(image=image.content, probabilities=answer.tobytes())
        return rows

    def _named(self, batch: Batch) -> list[str]:
        return [cell.name for cell in self.columns if cell.name in batch.columns]


def _image(message: Received, now: int) -> ImageMessage:
    return ImageMessage(
        id=message.key.decode(),
        content=message.value,
        arrived_at=now,
        source=message.headers["ce_source"].decode(),
        name=message.headers["ce_subject"].decode(),
        known_label=int(message.headers["ce_knownlabel"]),
        event_time=int(datetime.fromisoformat(message.headers["ce_time"].decode()).timestamp() * 1_000_000),
        partition=message.partition,
        offset=message.offset,
    )


def _plain(values: Any) -> list[Any]:
    return list(values.tolist() if isinstance(values, np.ndarray) else values)
