"""Ctrl-C and SIGTERM in commands that change something and wait: they end in order, and say what was left."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from flumen.cli.output import print_error
from flumen.models.errors import ModelError
from flumen.streams.errors import RolloutInterrupted, StreamError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNAL_BASE = 128
"""As shells count: a command that a signal ended has this and the signal's number as its exit code."""


class Interruption:
    """Whether a signal has come that asks the command to end.

    Nobody can be stopped in the middle of a write without doubt about it. So once the command has begun to write, a
    signal is noted only, for the command to ask for; a second one ends it where it is.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.is_held = False

    def has_come(self) -> bool:
        """Say whether a signal has come."""
        return self.number is not None

    def hold(self) -> None:
        """Only note the first signal from now on."""
        self.is_held = True

    def take(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        is_first, self.number = self.number is None, number
        if not (self.is_held and is_first):
            raise KeyboardInterrupt


@contextmanager
def signals_end() -> Iterator[None]:
    """Let SIGTERM, and a terminal that is closed, end the block as Ctrl-C does, and not the process where it stands."""
    numbers = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]
    former = {
        number: signal.signal(number, lambda number, _frame: sys.exit(SIGNAL_BASE + number))
        for number in numbers
    }
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


_AGAIN = (
    "interrupted again, while it took back or finished what it had begun: look at `flumen models status` "
    "for what stands"
)


@contextmanager
def interruptible(again: str = _AGAIN) -> Iterator[Interruption]:
    """Turn a signal into an orderly end of the block, with the exit code that shells expect: 130 after Ctrl-C.

    `again`: what is told where a second one ends it while it holds.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption  # signals are the main thread's
        return
    heeded = [
        number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN
    ]  # as nohup wants it
    former = {number: signal.signal(number, interruption.take) for number in heeded}
    try:
        yield interruption
    except (StreamError, ModelError) as error:
        if interruption.number is None:
            raise
        print_error(error)
        raise typer.Exit(SIGNAL_BASE + interruption.number) from error
    except KeyboardInterrupt as error:
        left = again if interruption.is_held else "interrupted. Nothing was written"
        print_error(RolloutInterrupted(left))
        raise typer.Exit(SIGNAL_BASE + (interruption.number or signal.SIGINT)) from error
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
