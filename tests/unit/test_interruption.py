"""A signal ends a command in order: with the exit code that shells expect, and a word on what was left."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import typer

from flumen.cli.interruption import SIGNALS, Interruption, interruptible
from flumen.streams.errors import RolloutInterrupted


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """Also where whoever started the tests has Ctrl-C ignored, as a shell does with what it runs behind."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def end(act: Callable[[Interruption], None]) -> int:
    """Return the exit code of a command that does this, and has to be ended by it."""
    with pytest.raises(typer.Exit) as ended, interruptible() as interruption:
        act(interruption)
    return ended.value.exit_code


@pytest.mark.parametrize("number", SIGNALS, ids=str)
def test_before_anything_is_written_it_ends_at_once(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(_interruption: Interruption) -> None:
        os.kill(os.getpid(), number)
        pytest.fail("it went on")

    assert end(act) == 128 + number
    assert "interrupted. Nothing was written" in capsys.readouterr().err


@pytest.mark.parametrize("number", SIGNALS, ids=str)
def test_from_then_on_the_first_one_is_noted_and_what_was_left_is_told(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(interruption: Interruption) -> None:
        interruption.hold()
        assert not interruption.has_come()
        os.kill(os.getpid(), number)
        assert interruption.has_come()
        raise RolloutInterrupted("the preparation is taken back")

    assert end(act) == 128 + number
    assert "RolloutInterrupted: the preparation is taken back" in capsys.readouterr().err


def test_a_second_one_is_obeyed_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    def act(interruption: Interruption) -> None:
        interruption.hold()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it went on")

    assert end(act) == 130
    assert "flumen models status" in capsys.readouterr().err


def test_what_was_done_before_a_signal_could_end_it_is_done() -> None:
    with interruptible() as interruption:
        interruption.hold()
        os.kill(os.getpid(), signal.SIGINT)


def test_other_errors_and_the_handlers_stay_as_they_were() -> None:
    before: list[Callable[..., object] | int | None] = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(RolloutInterrupted), interruptible():
        raise RolloutInterrupted("without a signal")
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_what_is_ignored_stays_ignored() -> None:
    """As nohup wants it of the hang-up."""
    program = (
        "import os, signal; from flumen.cli.interruption import interruptible\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with interruptible() as one: os.kill(os.getpid(), signal.SIGHUP); print(one.has_come())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
