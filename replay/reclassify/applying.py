"""Making answers the current ones of their images, beside workers that store images at the same time.

`docs/reclassify.md` says by which rule, and why an answer that came with a later delivery stays.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flumen.interceptor import Preprocess
from flumen.interceptor.classifier import Classifier
from flumen.interceptor.pgm import netpbm_header
from flumen.replay.reclassify.restoring import Restorer
from flumen.replay.reclassify.results import ResultIndex, ResultTable
from flumen.replay.scoring import Scored
from flumen.stores.errors import StoreUnavailable
from flumen.stores.kudu.plain import plain_rows
from flumen.stores.kudu.schema import CHUNK_BYTES
from flumen.stores.results import DELIVERY, Result, delivery_of

_MARKS = ("model", "model_version", "classified_at")
_KEPT = ("id", *_MARKS, "prediction", "confidence", "probabilities")
COLUMNS = (*DELIVERY, *_KEPT)
"""Columns of `images` that the rows need which are scored for this."""

NEWER = "that got a newer answer meanwhile"
GONE = "that are not stored any more"
LOST = "whose newer answer Kudu's past does not show any more: publish them again"
"""Reasons for which an answer is not the current one, beside those of `flumen.replay.scoring`."""

NO_DOCUMENT = "Solr has no document of"
OTHER_DOCUMENT = "Solr has a document of another delivery of"

_AT_ONCE = 1000
"""So few that what is read of them is some hundredths of a second old when they are changed."""
_ROUNDS = 50


@dataclass(slots=True)
class Applied:
    """What came of answers.

    `left_out`: why an answer is not its image's current one, by id. `kept_apart`: of these images, the answer is to be
    kept beside the current one, which is of another model or version.
    """

    left_out: dict[str, str] = field(default_factory=dict)
    kept_apart: list[str] = field(default_factory=list)


class Applying:
    """Makes the answers of one job the current ones. One thread uses it.

    Args:
        table: the rows.
        index: the documents; None where there are none.
        model: who answers.
        moment_us: the moment as of which the job reads; each row that it changes has it as `classified_at`.
        restorer: of that table and moment.
    """

    def __init__(
        self,
        table: ResultTable,
        index: ResultIndex | None,
        model: Classifier,
        moment_us: int,
        restorer: Restorer,
    ) -> None:
        self._table = table
        self._index = index
        self._model = model
        self._moment_us = moment_us
        self._restorer = restorer
        self._late: list[str] = []

    def apply(self, scored: Scored, is_held: Callable[[], bool]) -> Applied:
        """Make these answers the current ones, each if its image is still what it was when it was read.

        Raises:
            StoreError: a store cannot be read or written, or the part is not ours any more. Do it again.
        """
        applied = Applied()
        for start in range(0, scored.rows.num_rows, _AT_ONCE):
            rows = scored.rows.slice(start, _AT_ONCE)
            answers = scored.answers.slice(start, _AT_ONCE)
            self._apply(rows, answers, scored.pixels[start : start + _AT_ONCE], is_held, applied)
        return applied

    def end_part(self) -> Mapping[str, int]:
        """Look once more at the images whose document was not there; return how many are left, by reason."""
        late, self._late = self._late, []
        reasons = Counter[str]()
        for start in range(0, len(late), _AT_ONCE):
            reasons.update(self._shown(late[start : start + _AT_ONCE]).values())
        return reasons

    def remove(self, ids: Sequence[str]) -> None:
        """Take out what was written beside the rows of images that were deleted."""
        if ids and is_cut(self._model.preprocess):
            self._table.remove_views(ids)

    def _apply(
        self,
        rows: pa.RecordBatch,
        answers: pa.RecordBatch,
        pixels: NDArray[np.uint8],
        is_held: Callable[[], bool],
        applied: Applied,
    ) -> None:
        read = {row["id"]: row for row in plain_rows(rows.select(["id", *DELIVERY, *_MARKS]))}
        now: dict[str, Result | None] = {**self._table.read(list(read))}
        ready = [row for row, image_id in enumerate(read) if _is_as_read(read[image_id], now.get(image_id))]
        if ready:
            if not is_held():
                raise StoreUnavailable(
                    "this process stood still for so long that others may do its part by now; start again"
                )
            self._change(rows, answers, pixels, ready)
        # Beside these, what an earlier attempt has changed, and may not have looked at again before it was killed.
        ids = list(read)
        changed = [ids[row] for row in ready]
        changed += [
            each for each, result in now.items() if result and result["classified_at"] == self._moment_us
        ]
        documents = self._index.read(changed) if self._index else {}
        now |= {**dict.fromkeys(changed), **self._table.read(changed)}
        half = [each for each in changed if self._is_half(read[each], now[each])]
        lost = [
            each
            for each in half
            if not self._restorer.restore(each, delivery_of(read[each]), self._moment_us)
        ]
        whole = {each: result for each in changed if (result := now[each]) is not None and each not in half}
        self._late += self._shown([*whole, *half], documents, whole)
        self._count(read, now, lost, applied)

    def _change(
        self, rows: pa.RecordBatch, answers: pa.RecordBatch, pixels: NDArray[np.uint8], ready: Sequence[int]
    ) -> None:
        """Keep the answers that these rows have, and give them the new ones."""
        places = pa.array(ready, pa.int32())
        taken, answers, pixels = rows.take(places), answers.take(places), pixels[list(ready)]
        former = taken.select(_KEPT)
        is_other = [
            (name, version) != (self._model.name, self._model.version) and None not in (name, version)
            for name, version in zip(*(former.column(each).to_pylist() for each in _KEPT[1:3]), strict=True)
        ]
        self._table.keep(former.filter(pa.array(is_other, pa.bool_())))
        header, count = netpbm_header(*_size(self._model.preprocess)), len(ready)
        views: list[bytes | None] = [header + seen.tobytes() for seen in pixels]
        ids = taken.column("id").to_pylist()
        chunks = 0
        if is_cut(self._model.preprocess):
            chunks = -(-_view_bytes(self._model.preprocess) // CHUNK_BYTES)
            self._table.write_views({each: view for each, view in zip(ids, views, strict=True) if view})
            views = [None] * count
        self._table.update(
            pa.RecordBatch.from_pydict(
                {
                    "id": taken.column("id"),
                    **{name: answers.column(name) for name in ("prediction", "label", "confidence")},
                    "model": pa.array([self._model.name] * count, pa.string()),
                    "model_version": pa.array(np.full(count, self._model.version, np.int32)),
                    "control_revision": pa.array(np.zeros(count, np.int64)),
                    "classified_at": pa.array(np.full(count, self._moment_us, np.int64)),
                    "probabilities": answers.column("probabilities"),
                    "embedding": answers.column("embedding"),
                    "image_as_pgm": pa.array(views, pa.binary()),
                    "view_chunks": pa.array(np.full(count, chunks, np.int32)),
                }
            )
        )

    def _is_half(self, read: Result, now: Result | None) -> bool:
        """Whether a row has our answer beside a delivery that came behind the one which was read."""
        return (
            now is not None
            and now["classified_at"] == self._moment_us
            and delivery_of(now) != delivery_of(read)
        )

    def _shown(
        self,
        ids: Sequence[str],
        documents: Mapping[str, Mapping[str, Any]] | None = None,
        results: Mapping[str, Result] | None = None,
    ) -> dict[str, str]:
        """Let documents say what their rows say. Return why some do not, by image.

        A document is read first, then the row, and it is changed only if it is still the one that was read: so it is
        never changed to what the table held before that which the document shows. `documents`, and `results` that were
        read behind them, save to read them once more.
        """
        if self._index is None:
            return {}
        left: dict[str, str] = {}
        known = dict(results or {})
        waiting = list(ids)
        documents = documents if documents is not None and results is not None else self._index.read(waiting)
        for _ in range(_ROUNDS):
            unknown = [each for each in waiting if each not in known]
            known |= self._table.read(unknown)
            found = {each: known[each] for each in waiting if each in known}
            left |= {each: NO_DOCUMENT for each in found if each not in documents}
            there = {each: result for each, result in found.items() if each in documents}
            waiting, others = self._index.put(documents, there)
            left |= dict.fromkeys(others, OTHER_DOCUMENT)
            if not waiting:
                return left
            documents = self._index.read(waiting)
            for each in self._index.differing(documents, {each: known[each] for each in waiting}):
                del known[each]  # somebody else was faster: the row is read anew
            waiting = [each for each in waiting if each not in known]
            if not waiting:
                return left
        raise StoreUnavailable(
            f"image {waiting[0][:80]!r} is stored again and again, faster than its document can be changed; start again"
        )

    def _count(
        self,
        read: Mapping[str, Result],
        now: Mapping[str, Result | None],
        lost: Sequence[str],
        applied: Applied,
    ) -> None:
        for image_id, row in read.items():
            result = now.get(image_id)
            if result is None:
                applied.left_out[image_id] = GONE
            elif image_id in lost:
                applied.left_out[image_id] = LOST
            elif result["classified_at"] != self._moment_us or self._is_half(row, result):
                applied.left_out[image_id] = NEWER
                answerer = result["model"], result["model_version"]
                if answerer != (self._model.name, self._model.version) or self._is_half(row, result):
                    applied.kept_apart.append(image_id)


def _is_as_read(read: Result, now: Result | None) -> bool:
    return now is not None and all(now[name] == read[name] for name in (*DELIVERY, *_MARKS))


def is_cut(seen: Preprocess) -> bool:
    """Whether what a model sees does not fit into a row."""
    return _view_bytes(seen) > CHUNK_BYTES


def _size(seen: Preprocess) -> tuple[int, int, int]:
    return seen.width, seen.height, seen.channels


def _view_bytes(seen: Preprocess) -> int:
    return len(netpbm_header(*_size(seen))) + seen.width * seen.height * seen.channels
