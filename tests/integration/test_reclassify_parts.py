"""Parts of a job, on a real Kudu and in memory: several share them, and what a process leaves is taken over."""

from typing import Any

import pytest

from flumen.models.experiments.claimant import Claimant
from flumen.replay.reclassify.memory import MemoryParts
from flumen.replay.reclassify.parts import Counts, Order, Parts, find_job, make_job
from flumen.replay.scoring import Plan
from flumen.stores.kudu import KuduReclassifications


@pytest.mark.parametrize("kind", ["kudu", "memory"])
def test_two_share_a_job_and_a_claim_is_taken_over(settings: Any, kind: str) -> None:
    now = [0.0]
    table = KuduReclassifications(settings.kudu_options()) if kind == "kudu" else MemoryParts()
    try:
        assert find_job(table, "work") is None
        assert not table.rows("work", ["parts"])
        job = make_job(table, "work", Plan(1_790_000_000_000_000, (b"one", b"two"), 9, {}), Order("mnist", 2))
        assert find_job(table, "work") == job
        # Who has found none, and comes later, gets that one; on purpose there is another.
        late = Plan(1_790_000_000_000_001, (b"three",), 9, {})
        assert make_job(table, "work", late, Order("mnist", 2)) == job
        assert make_job(table, "work", late, Order("mnist", 2), job).number == job.number + 1
        # Elsewhere, so that nothing is known of the process.
        elsewhere = Claimant("elsewhere", 1, "nowhere", 2)
        one = Parts(table, job, 60.0, elsewhere, clock=lambda: now[0])
        other = Parts(table, job, 60.0, clock=lambda: now[0])
        first, second = one.claim(), other.claim()
        assert first is not None
        assert second is not None
        assert {first.token, second.token} == {b"one", b"two"}
        assert other.claim() is None
        other.finish(second, Counts(5, 4, 1, (("torn", 2),)))
        now[0] = 50.0
        one.renew(first)
        assert other.claim() is None
        now[0] = 105.0
        assert other.claim() is None
        now[0] = 115.0
        taken = other.claim()
        assert taken is not None
        assert (taken.number, taken.attempt, taken.token) == (first.number, 2, first.token)
        one.finish(first, Counts(4, 4))
        other.finish(taken, Counts(4, 4))
        assert one.progress().done == 2
        assert one.progress().counts == Counts(9, 8, 1, (("torn", 2),))
        assert one.claim() is None
    finally:
        table.close()
