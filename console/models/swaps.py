"""Swaps that people ask for here: each runs on a thread of its own, and whoever looks sees how far it is.

What is kept of them is gone with this process. What took effect stands in the audit log.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

import structlog

from flumen.console.errors import SHOWN, NotThere, SwapRuns
from flumen.streams.control.operator.fleet import FleetView

log = structlog.get_logger(__name__)

_KEPT = 200
_AT_ONCE = 4


class Action(StrEnum):
    """What somebody may want of a model."""

    PREPARE = "prepare"
    ACTIVATE = "activate"
    SHADOW = "shadow"
    SHADOW_OFF = "shadow-off"
    ROLLBACK = "rollback"


STEPS = {
    Action.PREPARE: ("Verified here", "Prepared by every worker"),
    Action.ACTIVATE: ("Verified here", "Prepared by every worker", "Swapped by every worker"),
    Action.SHADOW: ("Verified here", "Scored in shadow by every worker"),
    Action.SHADOW_OFF: ("Looked at here", "Scored in shadow by no worker"),
    Action.ROLLBACK: ("Verified here", "Prepared by every worker", "Swapped by every worker"),
}
"""What is done one after the other, as people read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody wants, and why. `version` is None for a rollback, and for `shadow-off`.

    `though_worse`: also where it scored less than the champion. `needs_impact`: only where its impact is good enough.
    `force`: without workers that are silent.
    """

    action: Action
    model: str
    version: int | None
    by: str
    reason: str
    though_worse: bool = False
    needs_impact: bool = False
    force: bool = False

    def __str__(self) -> str:
        name = self.model if self.version is None else f"{self.model}@{self.version}"
        return {
            Action.PREPARE: f"Prepare {name}",
            Action.ACTIVATE: f"Activate {name}",
            Action.SHADOW: f"Score {name} in shadow",
            Action.SHADOW_OFF: f"Score nothing in shadow of {name}",
            Action.ROLLBACK: f"Roll back {name}",
        }[self.action]


@dataclass(slots=True)
class Swap:
    """One swap, as far as it is. `words`: what is waited for. Times are microseconds since the epoch.

    In the end either `said` tells what came of it, or `refused` why nothing did.
    """

    id: str
    asked: Asked
    began_us: int
    words: str = ""
    step: int = 0
    view: FleetView | None = None
    ended_us: int | None = None
    said: Sequence[str] = ()
    refused: str = ""
    is_given_up: bool = False

    def show(self, view: FleetView, words: str) -> None:
        """Take what a rollout shows: the fleet, and what it is waited for."""
        if words != self.words:
            self.step = min(self.step + 1, len(STEPS[self.asked.action]) - 1)
        self.view, self.words = view, words

    @property
    def state(self) -> str:
        """`running`, `done` or `refused`."""
        if self.ended_us is None:
            return "running"
        return "refused" if self.refused else "done"


CarryOut = Callable[[Asked, Swap], Sequence[str]]
"""Does what somebody wants, and says what came of it; raises an error of a package where it is refused."""


class Swaps:
    """The swaps of this console. Any thread may ask."""

    def __init__(self, carry_out: CarryOut) -> None:
        self._carry_out = carry_out
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="console-swap")
        self._lock = threading.Lock()
        self._swaps: OrderedDict[str, Swap] = OrderedDict()

    def begin(self, asked: Asked) -> Swap:
        """Begin what somebody wants.

        Raises:
            SwapRuns: another swap of that model runs here; the message says whose.
        """
        swap = Swap(secrets.token_urlsafe(12), asked, _now_us())
        with self._lock:
            if runs := self._running(asked.model):
                raise SwapRuns(
                    f"{runs.asked.by} wants something else of {asked.model} at this moment, and it runs yet: "
                    f"{runs.asked}. Wait for it, then decide anew"
                )
            self._swaps[swap.id] = swap
            while len(self._swaps) > _KEPT:
                self._swaps.popitem(last=False)
        self._threads.submit(self._run, swap)
        return swap

    def get(self, swap_id: str) -> Swap:
        """Return a swap.

        Raises:
            NotThere: there is none of that id.
        """
        with self._lock:
            if swap_id in self._swaps:
                return self._swaps[swap_id]
        raise NotThere(
            "this console knows no such swap (any more). What took effect stands in the audit trail of its model"
        )

    def running(self, model: str) -> Swap | None:
        """Return the swap of a model that runs."""
        with self._lock:
            return self._running(model)

    def close(self) -> None:
        """End what runs, in order: what a first phase has written is taken back."""
        with self._lock:
            for swap in self._swaps.values():
                swap.is_given_up = True
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _running(self, model: str) -> Swap | None:
        found = (each for each in self._swaps.values() if each.ended_us is None)
        return next((each for each in found if each.asked.model == model), None)

    def _run(self, swap: Swap) -> None:
        try:
            swap.said = self._carry_out(swap.asked, swap)
            swap.step = len(STEPS[swap.asked.action])
        except SHOWN as error:
            swap.refused = f"{type(error).__name__}: {error}"
        except Exception as error:
            log.exception("a swap failed", asked=str(swap.asked), error=repr(error))
            swap.refused = (
                "This failed. The console's log has the reason; `flumen models status` says what stands"
            )
        finally:
            swap.ended_us = _now_us()


def _now_us() -> int:
    return time.time_ns() // 1000
