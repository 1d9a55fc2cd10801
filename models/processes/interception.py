"""Interceptors in processes of their own: they share each batch, and one that an image ends is started anew.

This side cuts a batch into pieces (models/processes/pieces.py), hands them out, and joins what comes back in order. A
process that ends, or that is silent for too long, costs the image that it was at, and no other
(models/processes/interception_process.py).
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import structlog

from flumen.interceptor import Batch, Context, Intercepted
from flumen.models.errors import DecoderUnavailable
from flumen.models.processes import kept_process
from flumen.models.processes.child_process import START_S
from flumen.models.processes.exchange import NOTHING
from flumen.models.processes.kept_process import NAME, Intercepting, KeptProcess
from flumen.models.processes.pieces import Piece, Work, share_out

log = structlog.get_logger(__name__)

MOST_BY_ITSELF = 16
"""So many are started at most where nobody says how many: each takes memory, too."""

_LOOK_S = 1.0
_MOST_FAILED = 3
"""So many processes may end at a place before they are asked; the others do the rest of the batch."""

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_CONTROL_GROUP = Path("/proc/self/cgroup")


@dataclass(slots=True)
class _InHand:
    """A piece and the process that has it, which is at `noted` since `since`."""

    piece: Piece
    process: Intercepting
    noted: int
    since: float


@dataclass(slots=True)
class _Place:
    """A place for one process after another, and what it has in hand.

    `failed`: how many ended within this batch before they were asked for anything, or did not start.
    """

    process: KeptProcess
    in_hand: _InHand | None = None
    failed: int = 0


class InterceptionProcesses:
    """So many processes that intercept. One thread uses them; `close` may be called from any other.

    `on_progress` is called whenever one is done with something, `on_restart` when one has ended that nobody ended.
    """

    def __init__(
        self,
        count: int,
        on_progress: Callable[[], None] = lambda: None,
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        self._places = [_Place(KeptProcess()) for _ in range(count)]
        self._on_progress = on_progress
        self._on_restart = on_restart

    @property
    def pids(self) -> list[int]:
        """The ids of those that were started and have not ended."""
        return [pid for place in self._places if (pid := place.process.pid) is not None]

    def start(self) -> None:
        """Start all of them, and wait for none.

        Raises:
            DecoderUnavailable: one does not start, or this is closed.
        """
        for place in self._places:
            place.process.started()

    def intercept(
        self, batch: Batch, context: Context, names: tuple[str, ...]
    ) -> tuple[Intercepted, Mapping[str, float]]:
        """Send a batch through interceptors by name, and return the seconds that each took, of all processes together.

        Raises:
            DecoderUnavailable: there is none that starts, one ends again and again with the same images, there is no
                memory for what one is asked, or this is closed.
            InterceptorError: a setting of them is wrong.
        """
        work = share_out(batch, context, names, len(self._places))
        for place in self._places:
            place.failed = 0
        try:
            while self._hand_out(work):
                self._collect(work)
        except BaseException:  # also Ctrl-C: nobody waits for the others' answers any more
            self._end_busy()
            raise
        return work.result(), work.seconds

    def close(self) -> None:
        """End all of them, also those that are busy. A second call does nothing."""
        for place in self._places:
            place.process.close()

    def _hand_out(self, work: Work) -> bool:
        """Give what waits to those that are idle and ready. Whether anything is left to wait for."""
        for place in self._places:
            if place.in_hand is not None or (place.failed and not work.waiting):
                continue
            process = self._started(place)  # also where nothing waits: so it is ready for the next batch
            if process is None or not process.is_ready or not work.waiting:
                continue
            piece = work.waiting.popleft()
            try:
                process.ask(*work.request(piece))
            except OSError:  # it ended while it had nothing to do, and is no fault of this piece
                work.waiting.appendleft(piece)
                code = place.process.forget(process)
                self._failed(
                    place, DecoderUnavailable(f"{NAME} ended before it was asked (exit code {code})")
                )
            else:
                place.in_hand = _InHand(piece, process, NOTHING, time.monotonic())
        return bool(work.waiting) or any(place.in_hand is not None for place in self._places)

    def _collect(self, work: Work) -> None:
        """Wait until something has come from one of them, or for a second."""
        awaited: dict[Any, _Place] = {}
        for place in self._places:
            if place.in_hand is not None:
                awaited[place.in_hand.process.child.connection] = place
            elif work.waiting and (starting := self._started(place)) is not None and not starting.is_ready:
                awaited[starting.child.connection] = place
        for connection in wait(list(awaited), _LOOK_S):
            place = awaited[connection]
            if place.in_hand is None:
                self._await_ready(place)
            else:
                self._take(place, place.in_hand, work)
        for place in awaited.values():
            self._look(place, work)

    def _started(self, place: _Place) -> Intercepting | None:
        """Return the process of a place. None where it does not start; after some attempts, for this batch."""
        if place.failed == _MOST_FAILED:
            return None
        try:
            return place.process.started()
        except DecoderUnavailable as error:
            self._failed(place, error)
            return None

    def _await_ready(self, place: _Place) -> None:
        try:
            place.process.ready()
        except DecoderUnavailable as error:
            self._failed(place, error)

    def _failed(self, place: _Place, error: DecoderUnavailable) -> None:
        """Go on after a process that could not be asked, as long as there may be another."""
        place.failed += 1
        if place.process.closed or all(each.failed == _MOST_FAILED for each in self._places):
            raise error
        self._on_restart()
        log.warning("a process that intercepts did not start", error=str(error))

    def _take(self, place: _Place, in_hand: _InHand, work: Work) -> None:
        place.in_hand = None
        try:
            answer = in_hand.process.take()
        except (EOFError, OSError):
            self._do_again(place, in_hand, work)
            return
        self._on_progress()
        if isinstance(answer, Exception):
            try:
                raise answer
            finally:
                del answer  # its traceback holds this call, and so the batch: a cycle, if it held it as well
        work.finish(in_hand.piece, answer)

    def _look(self, place: _Place, work: Work) -> None:
        """End a process that is silent for too long."""
        in_hand, now = place.in_hand, time.monotonic()
        if in_hand is None:
            starting = place.process.current
            if starting is not None and not starting.is_ready and now - starting.started_at > START_S:
                starting.child.process.kill()
        elif (noted := in_hand.process.exchange.noted()) != in_hand.noted:
            in_hand.noted, in_hand.since = noted, now
            self._on_progress()
        elif now - in_hand.since > kept_process.silent_s(work.limits):
            in_hand.process.child.process.kill()

    def _do_again(self, place: _Place, in_hand: _InHand, work: Work) -> None:
        noted = in_hand.process.exchange.noted()
        code = self._ended(place, in_hand.process)
        work.again(in_hand.piece, code, noted)
        if in_hand.piece.is_given_up:
            raise DecoderUnavailable(
                f"{NAME} has ended {in_hand.piece.ended} times with the same images (exit code "
                f"{code}), and none of them is to blame; see its message above, if it has left one"
            )

    def _ended(self, place: _Place, process: Intercepting) -> int:
        code = place.process.forget(process)
        if not place.process.closed:
            self._on_restart()
            log.warning("a process that intercepts ended; another one is started", exit_code=code)
        return code

    def _end_busy(self) -> None:
        for place in self._places:
            if place.in_hand is not None:
                place.process.end(place.in_hand.process)
                place.in_hand = None


def usable_cores() -> int:
    """Return how many cores this process may use, by its affinity and its control groups, at least 1."""
    cores = len(os.sched_getaffinity(0))
    for group in _control_groups():
        with suppress(OSError, ValueError):  # it has no quota
            quota, period = (group / "cpu.max").read_text().split()
            cores = min(cores, round(int(quota) / int(period)))
    return max(1, cores)


def _control_groups() -> list[Path]:
    """Return the folders of this process's control group of the second version, and of those that it is in."""
    try:
        lines = _OWN_CONTROL_GROUP.read_text().splitlines()
    except OSError:
        return []
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    return [_CONTROL_GROUPS / own, *(_CONTROL_GROUPS / each for each in Path(own).parents)]
