"""Which images have an answer of a model already, so that it need not be asked again."""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flumen.interceptor.classifier import Classifier
from flumen.replay.images.stored import Moment
from flumen.stores.kudu import Predicate

COLUMNS = ("model", "model_version")
TIME = "ingested_at"
"""Column of `images` that tells whether an answer is about what is stored now; without it, answers are asked for."""


class Answered:
    """The answers that a model has given, as they stood at one moment: 16 bytes each in memory.

    An image has been answered if its own answer is by that model and version; or if `predictions` has one that was
    given when the image, as it is stored, had arrived. An id is told by 64 bits of its hash.
    """

    def __init__(self, model: Classifier, ids: NDArray[np.uint64], times_us: NDArray[np.int64]) -> None:
        self._model = model
        order = np.argsort(ids, kind="stable")
        self._ids, self._times_us = ids[order], times_us[order]

    def __len__(self) -> int:
        return len(self._ids)

    def find(self, rows: pa.RecordBatch) -> NDArray[np.bool_]:
        """Say of each row of `images` whether it has been answered. It has `COLUMNS`, and `TIME` if there is one."""
        own = pc.and_(
            pc.equal(rows.column("model"), self._model.name),
            pc.equal(rows.column("model_version"), self._model.version),
        ).fill_null(False)
        found: NDArray[np.bool_] = np.array(own.to_numpy(zero_copy_only=False))
        if len(self._ids) and rows.num_rows and TIME in rows.schema.names:
            ids = _hashes(rows.column("id").to_pylist())
            places = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
            arrived = rows.column(TIME).cast(pa.int64()).fill_null(np.iinfo(np.int64).max)
            in_time = self._times_us[places] >= arrived.to_numpy(zero_copy_only=False)
            found |= (self._ids[places] == ids) & in_time
        return found


def own_answers(model: Classifier) -> Answered:
    """Return what has been answered by images' own answers alone."""
    return Answered(model, np.empty(0, np.uint64), np.empty(0, np.int64))


def read_answered(moment: Moment, model: Classifier) -> Answered:
    """Read the keys of a model's answers in `predictions`, and when they were given.

    Raises:
        StoreError: Kudu cannot be read.
    """
    ids, times = [], []
    by_it = [Predicate("model", "=", (model.name,)), Predicate("model_version", "=", (model.version,))]
    for rows in moment.rows("predictions", ["id", "classified_at"], by_it):
        ids.append(_hashes(rows.column("id").to_pylist()))
        times.append(rows.column("classified_at").cast(pa.int64()).fill_null(0).to_numpy())
    if not ids:
        return own_answers(model)
    return Answered(model, np.concatenate(ids), np.concatenate(times))


def _hashes(ids: Iterable[str]) -> NDArray[np.uint64]:
    digests = b"".join(blake2b(each.encode(), digest_size=8).digest() for each in ids)
    return np.frombuffer(digests, np.uint64)
