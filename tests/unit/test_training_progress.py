"""The bar of a training, as a terminal shows it."""

import io

import pytest
from rich.console import Console

from flumen.cli.interruption import Interruption
from flumen.cli.learning import training_progress
from flumen.cli.learning.training_progress import shown_rounds
from flumen.models.trainers.trainer import Progress


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(training_progress, "errors", console)
    return shown


def test_a_terminal_shows_loss_accuracy_and_the_time_left_within_80_columns(terminal: io.StringIO) -> None:
    with shown_rounds(Interruption()) as report:
        assert report(Progress(10, 30, 0.71066, 0.90277, 95.0))
    last = next(line for line in reversed(terminal.getvalue().splitlines()) if "loss" in line)
    assert "10/30 loss 0.7107   validation accuracy 0.9028" in last
    assert "0:03:10 left" in last


def test_an_interruption_names_the_best_round(terminal: io.StringIO) -> None:
    interruption = Interruption()
    interruption.hold()
    with shown_rounds(interruption) as report:
        assert report(Progress(1, 9, None, 0.8, 1.0))
        assert report(Progress(2, 9, None, 0.9, 2.0))
        interruption.take(2, None)
        assert not report(Progress(3, 9, None, 0.9, 3.0))
    assert "after round 3: going on with the best so far, round 2." in " ".join(terminal.getvalue().split())
