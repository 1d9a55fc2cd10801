"""Swaps that people ask for in the console: one at a time for a model, each with its outcome, none that is lost."""

import threading
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flumen.console.errors import BadQuestion, ConsoleError, NotThere, SwapRuns
from flumen.console.models.asked import read_asked
from flumen.console.models.following import FollowedFleet
from flumen.console.models.swaps import STEPS, Action, Asked, Swap, Swaps
from flumen.models.errors import ModelError
from flumen.streams.control.operator.fleet import Fleet, FleetView
from flumen.streams.errors import KafkaUnavailable, WorkerRefused

ACTIVATE = Asked(action=Action.ACTIVATE, model="mnist", version=2, by="anna", reason="better")
VIEW = FleetView("mnist", None, ())


class Carried:
    """Carries out nothing, once it may; and then says, or raises, what it was told to."""

    def __init__(self, outcome: Exception | None = None) -> None:
        self.may_end = threading.Event()
        self.began = threading.Event()
        self.outcome = outcome

    def __call__(self, asked: Asked, swap: Swap) -> Sequence[str]:
        for words in ("for all workers to be ready", "for all workers to classify"):
            swap.show(VIEW, words)
        self.began.set()
        assert self.may_end.wait(60)
        if self.outcome is not None:
            raise self.outcome
        return [f"{asked.model}@{asked.version} classifies", f"given up: {swap.is_given_up}"]


def ended(carried: Carried, swaps: Swaps, swap: Swap) -> Swap:
    carried.may_end.set()
    swaps.close()
    assert swap.ended_us is not None
    return swap


def test_a_swap_is_followed_from_step_to_step_to_what_came_of_it() -> None:
    carried = Carried()
    swaps = Swaps(carried)
    swap = swaps.begin(ACTIVATE)
    assert carried.began.wait(60)
    assert (swap.state, swap.step, swap.words) == ("running", 2, "for all workers to classify")
    assert swaps.get(swap.id) is swap is swaps.running("mnist")
    with pytest.raises(SwapRuns, match="anna wants something else of mnist at this moment"):
        swaps.begin(ACTIVATE)
    assert swaps.running("shapes") is None
    # Whoever closes the console gives up what runs, and waits for it.
    ended(carried, swaps, swap)
    assert (swap.state, swap.step) == ("done", len(STEPS[Action.ACTIVATE]))
    assert list(swap.said) == ["mnist@2 classifies", "given up: True"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (WorkerRefused("1 of 2 workers refused"), "WorkerRefused: 1 of 2 workers refused"),
        (ModelError("<b>damaged</b>"), "ModelError: <b>damaged</b>"),
        (ZeroDivisionError("secret"), "The console's log has the reason"),
    ],
)
def test_what_is_refused_says_why_and_lets_the_next_one_begin(error: Exception, said: str) -> None:
    carried = Carried(error)
    carried.may_end.set()
    swaps = Swaps(carried)
    swap = swaps.begin(ACTIVATE)
    assert ended(carried, swaps, swap).state == "refused"
    assert said in swap.refused
    assert "secret" not in swap.refused
    assert swaps.running("mnist") is None
    with pytest.raises(NotThere):
        swaps.get("another")


GOOD = {"do": "activate", "model": "mnist", "version": "2", "reason": " better "}


def test_what_somebody_wants_is_read_strictly() -> None:
    asked = read_asked({**GOOD, "though_worse": "yes"}, "anna")
    assert (asked.reason, asked.by, asked.though_worse, asked.needs_impact) == ("better", "anna", True, False)
    assert read_asked({**GOOD, "do": "rollback"}, "anna").version is None
    assert str(read_asked({**GOOD, "do": "shadow-off"}, "anna")) == "Score nothing in shadow of mnist"
    for wrong in (
        {"do": "explode"},
        {"version": "0"},
        {"version": "٢"},
        {"reason": "  "},
        {"reason": "x" * 1001},
        {"reason": "\ud800"},
    ):
        with pytest.raises(BadQuestion):
            read_asked({**GOOD, **wrong}, "anna")


@given(st.dictionaries(st.sampled_from(["do", "model", "version", "reason", "force"]), st.text()))
def test_whatever_is_sent_is_read_or_refused(given_form: dict[str, str]) -> None:
    with suppress(ConsoleError, ModelError):
        asked = read_asked(given_form, "anna")
        assert asked.reason.strip() == asked.reason != ""


def test_a_fleet_that_is_not_known_says_why_and_is_asked_again() -> None:
    asked: list[int] = []

    def no_fleet() -> Fleet:
        asked.append(1)
        raise KafkaUnavailable("no broker answers")

    fleet = FollowedFleet(no_fleet)
    assert fleet.known(60).error == "no broker answers"
    fleet.close()
    assert asked
    assert fleet.known(0).error != ""
