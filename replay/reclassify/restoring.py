"""Giving an image back the answer that it got at the very moment at which a reclassification changed it."""

import time
from collections.abc import Callable

import pyarrow as pa

from flumen.replay.reclassify.results import ResultTable
from flumen.stores.errors import StoreUnavailable
from flumen.stores.results import ANSWER, VIEW, Result, delivery_of

Redraw = Callable[[str, str, int], bytes | None]
"""Returns what a model, by name and version, sees of an image, by its id; None where that cannot be had."""

_ROUNDS = 50
_LONGEST_WAIT_S = 30.0
_PAUSE_S = 0.05


class Restorer:
    """Finds answers in the table's past, and puts them back. `docs/reclassify.md` says when, and why so.

    Args:
        table: the rows.
        since_us: the moment of the job; the table's past is looked at from there on.
        redraw: draws views that are cut into chunks, where the change has overwritten these; None where it has not.
        clock: microseconds since the epoch.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        table: ResultTable,
        since_us: int,
        redraw: Redraw | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = table
        self._since_us = since_us
        self._redraw = redraw
        self._clock = clock
        self._sleep = sleep

    def restore(self, image_id: str, delivery: tuple[object, ...], mark: int) -> bool:
        """Put back the answer of the newest delivery, where the row has one that was meant for another delivery.

        Such an answer is told by `classified_at`, which is `mark`, beside another delivery than `delivery`. Return
        whether the row, if there is one, is whole: False where its past does not show that answer any more, or its view
        cannot be drawn.
        """
        is_whole = True
        for _ in range(_ROUNDS):
            row = self._table.read([image_id]).get(image_id)
            if row is None or row["classified_at"] != mark or delivery_of(row) == delivery:
                return is_whole
            found = self._before(image_id, row, mark)
            if found is None:
                if self._is_there(image_id, row):
                    return False
                continue
            # The mark stays until the answer is back in its place: who is killed before has left it to the next.
            self._put(found | {"classified_at": mark}, (*ANSWER, *VIEW))
            is_whole = self._redrawn(found)
            row = self._table.read([image_id]).get(image_id)
            if row and row["classified_at"] == mark and delivery_of(row) == delivery_of(found):
                self._put(found, ("classified_at",))
                delivery, mark = delivery_of(found), found["classified_at"]
        raise StoreUnavailable(
            f"image {image_id[:80]!r} is stored again and again, faster than it can be looked at; start again"
        )

    def _before(self, image_id: str, row: Result, mark: int) -> Result | None:
        """Return the row as its newest delivery stored it; None where the past shows it with `mark` alone.

        That delivery stands there from one moment on, and its own answer first. Later ones may be another job's.
        """
        first: Result | None = None
        low = self._since_us
        high = self._end(image_id, row)
        while high - low > 1:
            middle = (low + high) // 2
            then = self._table.at(image_id, middle)
            if then is None or delivery_of(then) != delivery_of(row):
                low = middle
            else:
                high, first = middle, then
        return None if first is None or first["classified_at"] == mark else first

    def _end(self, image_id: str, row: Result) -> int:
        """Return a moment, by the servers' clocks, at which the newest delivery is there: ours may be behind."""
        waited = 0.0
        while True:
            now = self._clock()
            then = self._table.at(image_id, now)
            if (then is not None and delivery_of(then) == delivery_of(row)) or waited >= _LONGEST_WAIT_S:
                return now + 1
            if not self._is_there(image_id, row):
                return now + 1
            self._sleep(_PAUSE_S)
            waited += _PAUSE_S

    def _is_there(self, image_id: str, row: Result) -> bool:
        """Whether an image still has the delivery that this row of it has."""
        now = self._table.read([image_id]).get(image_id)
        return now is not None and delivery_of(now) == delivery_of(row)

    def _put(self, result: Result, names: tuple[str, ...]) -> None:
        cells = dict.fromkeys(("embedding", "image_as_pgm", "probabilities"), pa.binary())
        types = {"classified_at": pa.int64(), **cells}
        columns = {name: pa.array([result[name]], types.get(name)) for name in ("id", *names)}
        self._table.update(pa.RecordBatch.from_pydict(columns))

    def _redrawn(self, found: Result) -> bool:
        if self._redraw is None or not found["view_chunks"]:
            return True
        view = self._redraw(found["id"], str(found["model"]), int(found["model_version"]))
        if view is not None:
            self._table.write_views({found["id"]: view})
        return view is not None
