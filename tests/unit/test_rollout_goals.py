"""Which refusals of a worker end a rollout, and when."""

from dataclasses import replace

from desired_states import state
from worker_statuses import worker_status

from flumen.streams.control.operator.goals import Goal, Refusals
from flumen.streams.control.records import ModelRef, Refused
from flumen.streams.errors import RecordForged

GOAL = Goal("for a worker", state(2, 2), ModelRef(2, "b" * 64), lambda _: False, "Nothing was written")
FORGED = Refused.because(RecordForged("the record is not signed"))
WORKER = worker_status(heard=1, revision=1)


def test_a_forged_record_that_is_told_before_the_one_that_was_written_is_no_refusal() -> None:
    refusals, forged = Refusals([WORKER]), replace(WORKER, refused=FORGED)
    assert refusals.sure([forged], GOAL, 0.0, is_last=False) == {}
    assert refusals.sure([replace(forged, heard=2)], GOAL, 1.0, is_last=False) == {}
    assert refusals.sure([forged], GOAL, 6.0, is_last=False) == {}, "it begins anew"


def test_a_worker_that_does_not_trust_what_was_written_refuses_it() -> None:
    refusals, forged = Refusals([WORKER]), replace(WORKER, refused=FORGED)
    assert refusals.sure([forged], GOAL, 0.0, is_last=False) == {}
    assert refusals.sure([forged], GOAL, 5.0, is_last=False) == {"w1": FORGED}
    assert Refusals([WORKER]).sure([forged], GOAL, 0.0, is_last=True) == {"w1": FORGED}
    assert Refusals([forged]).sure([forged], GOAL, 0.0, is_last=True) == {}, "it was so before"


def test_what_names_its_revision_is_sure_at_once() -> None:
    refused = replace(FORGED, revision=2, ref=GOAL.ref)
    assert Refusals([WORKER]).sure([replace(WORKER, refused=refused)], GOAL, 0.0, is_last=False) == {
        "w1": refused
    }
