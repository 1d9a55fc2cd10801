"""How a fleet is shown to people: a line for each change, a table on a terminal, and nothing that a terminal obeys."""

import io
import sys
from dataclasses import replace

import pytest
from rich.console import Console
from worker_statuses import worker_status

from flumen.cli.main import run
from flumen.cli.models import fleet_table
from flumen.cli.models.fleet_table import fleet_display, headline
from flumen.streams.control.operator.fleet import FleetView, Seen
from flumen.streams.control.operator.fleet_rows import worker_row
from flumen.streams.control.records import DesiredState, ModelRef, Refused, WorkerState, WorkerStatus

FIRST, SECOND = ModelRef(1, "1" * 64), ModelRef(2, "2" * 64)
HOSTILE = "\x1b[2J[red]\u202e"
STATUS = worker_status(champion=FIRST, heard=3, revision=3, images_per_s=6543.2)
DESIRED = DesiredState(
    model="mnist",
    champion=FIRST,
    challenger=SECOND,
    prepare=None,
    revision=3,
    actor=f"mallory{HOSTILE}",
    reason="",
    at="2027-01-15T08:00:00.123Z",
)


def view(*statuses: WorkerStatus, is_silent: bool = False) -> FleetView:
    return FleetView("mnist", DESIRED, tuple(Seen(status, 1.25, is_silent) for status in statuses))


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is printed, by a console that is no terminal."""
    screen = io.StringIO()
    monkeypatch.setattr(fleet_table, "console", Console(file=screen, width=200))
    return screen


def test_a_line_is_printed_for_each_change_and_only_then(screen: io.StringIO) -> None:
    ready = replace(STATUS, state=WorkerState.READY, prepared=SECOND)
    with fleet_display(quiet=False) as show:
        show(view(STATUS), "for it")
        show(view(replace(STATUS, images_per_s=1.0, at="2027-01-15T08:00:02Z")), "for it")
        show(view(ready), "for it")
        show(view(ready), "for more")
        show(view(ready, is_silent=True), "for more")
    assert screen.getvalue().splitlines() == [
        "Waiting for it",
        "w1: serving, mnist@1, revision 3",
        "w1: ready, mnist@1, revision 3, prepared mnist@2",
        "Waiting for more",
        "w1: silent, mnist@1, revision 3, prepared mnist@2",
    ]


def test_programs_get_no_lines(screen: io.StringIO) -> None:
    with fleet_display(quiet=True) as show:
        show(view(STATUS), "for it")
    assert screen.getvalue() == ""


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(fleet_table, "console", Console(file=screen, width=200, force_terminal=True))
    with fleet_display(quiet=False) as show:
        show(view(STATUS), "for it")
    for shown in (
        "revision 3, champion 1, challenger 2",
        "w1",
        "serving",
        "mnist@1",
        "6,543",
        "1.2",
        "Waiting for it",
    ):
        assert shown in screen.getvalue()


def test_a_terminal_does_not_obey_what_a_worker_says(screen: io.StringIO) -> None:
    refused = replace(STATUS, state=WorkerState.REFUSED, refused=Refused(SECOND, 3, HOSTILE, HOSTILE * 3))
    with fleet_display(quiet=False) as show:
        show(view(refused), "for it")
    fleet_table.console.print(fleet_table.fleet_table(view(refused)))
    assert "\x1b" not in screen.getvalue()
    assert "\u202e" not in screen.getvalue()
    assert r"\x1b[2J[red]" in screen.getvalue()
    assert worker_row(Seen(refused, 0.0, False))["refused"]["reason"] == HOSTILE


def test_nor_what_an_error_quotes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["flumen", "models", "register", f"{HOSTILE}.onnx"])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert r"FileUnreadable: there is no file \x1b[2J[red]\u202e.onnx" in said


def test_the_headline_says_what_shall_run() -> None:
    assert (
        headline(FleetView("mnist", None, ()))
        == "mnist: no state is written; workers take the alias champion"
    )
    desired = replace(DESIRED, prepare=SECOND, actor="alice@desk")
    expected = (
        "mnist: revision 3, champion 1, challenger 2, to prepare 2 (by alice@desk at 2027-01-15T08:00:00Z)"
    )
    assert headline(FleetView("mnist", desired, ())) == expected
