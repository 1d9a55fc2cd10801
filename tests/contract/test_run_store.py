"""Who gets a run, and what comes back of it: the same over the memory table as over Kudu's."""

import importlib.util
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from flumen.models.errors import RunDiffers, RunUnreadable
from flumen.models.experiments.claimant import Claimant, this_process
from flumen.models.experiments.run import COLUMNS, SCHEMA, Measures, Round, Run, to_row
from flumen.models.experiments.run_store import RunStore
from flumen.models.experiments.run_table import MemoryRunTable, RunTable
from flumen.models.experiments.setting import Setting
from flumen.stores.kudu import KuduOptions, KuduRuns

DATA = "d" * 64
HERE = this_process()
ELSEWHERE = Claimant("another machine", 17, "elsewhere", 1)
SETTING = Setting("network", 10, 100, {"rate": 1e-5, "hidden": (500, 100)}, {"hidden": (500, 100)})


@pytest.fixture(params=["memory", "kudu-jvm", "kudu-native"])
def table(request: pytest.FixtureRequest) -> Iterator[RunTable]:
    if request.param == "memory":
        yield MemoryRunTable()
        return
    if request.param == "kudu-native" and importlib.util.find_spec("kudu") is None:
        pytest.skip("the native Kudu driver is not installed: docs/kudu.md says how")
    stack, names = request.getfixturevalue("flumen_stack"), request.getfixturevalue("flumen_names")
    runs = KuduRuns(
        KuduOptions(
            masters=stack.kudu_masters,
            table_prefix=names.kudu_prefix,
            driver=request.param.removeprefix("kudu-"),
            partitions=2,
        )
    )
    yield runs
    runs.close()


class Clock:
    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def store(table: RunTable) -> Callable[..., RunStore]:
    """Make the store of somebody: another machine's, unless it is said."""
    return lambda who=ELSEWHERE, clock=None, now=lambda: 1e9: RunStore(
        table, 60.0, who, clock or Clock(), now
    )


def test_a_run_is_ones_and_comes_back_as_it_was_written(store: Callable[..., RunStore]) -> None:
    one, other = store(HERE), store()
    assert one.list() == other.get("10_100_1.0E-5") == []
    claim = one.claim(SETTING, DATA, "rates")
    assert (claim.outcome, claim.run.run_id, claim.run.attempt) == ("ours", "10_100_1.0E-5", 1)
    assert other.claim(SETTING, DATA, "rates").outcome == "held"
    renewed = one.renew(claim.run, rounds=3)
    assert [(run.state, run.rounds, run.beat) for run in other.list("rates")] == [("running", 3, 1)]
    # With its result in hand it is renewed as before: it stands when all of it is written.
    renewed = one.renew(replace(renewed, state="done"), rounds=3)
    assert renewed.state == "done"
    assert other.claim(SETTING, DATA, "rates").outcome == "held"
    done = replace(
        renewed,
        state="done",
        ended_at=2_000_000,
        duration_s=1.5,
        curves=(Round(1, 0.5, None, 0.7), Round(2, None, 0.25, 1.5)),
        test=Measures(0.9, 0.8, 0.7, 0.75),
        confusion=((0, 0, 9), (1, 0, 1)),
        software={"numpy": "2"},
        model="rates",
        model_version=3,
        error="ä",
    )
    one.finish(done)
    assert other.get("10_100_1.0E-5", DATA) == [replace(done, beat=3)]
    again = other.claim(SETTING, DATA, "another experiment")
    assert (again.outcome, again.run.experiment) == ("stands", "rates")
    assert other.list("another experiment") == []
    other.join("another experiment", [again.run])
    other.join("rates", [again.run])  # is its own already
    assert [run.run_id for run in one.list("another experiment")] == ["10_100_1.0E-5"]
    assert other.claim(SETTING, "e" * 64, "rates").outcome == "ours"  # other images
    assert [(run.data_sha256[0], run.state) for run in one.list()] == [("d", "done"), ("e", "claimed")]


def test_a_run_is_of_every_experiment_that_has_it(store: Callable[..., RunStore]) -> None:
    one = store()
    assert one.experiments() == {}
    runs = {}
    for seed, name in enumerate(("first", "first", "second")):
        claim = one.claim(replace(SETTING, seed=seed), DATA, name)
        runs[seed] = one.finish(replace(claim.run, state="done"))
    one.join("second", [runs[1], runs[2]])
    one.join("third", runs.values())
    one.join("third", [runs[0]])
    found = {name: [run.seed for run in of_it] for name, of_it in one.experiments().items()}
    assert found == {"first": [0, 1], "second": [1, 2], "third": [0, 1, 2]}
    for name, seeds in found.items():
        assert [run.seed for run in one.list(name)] == seeds
        assert one.list(name, "e" * 64) == []
    # One that fails and is computed by another experiment is that one's, and stands in both.
    failing = one.claim(replace(SETTING, seed=9), DATA, "first").run
    one.finish(replace(failing, state="failed"))
    again = one.claim(replace(SETTING, seed=9), DATA, "third").run
    one.finish(replace(again, state="done"))
    assert [(run.seed, run.state, run.experiment) for run in one.list("first")][-1] == (9, "done", "third")


def test_what_is_longer_than_a_cell_comes_back(store: Callable[..., RunStore]) -> None:
    one = store()
    run = one.claim(SETTING, DATA, "rates").run
    confusion = tuple((known, answer, 1000) for known in range(120) for answer in range(120))
    assert len(json.dumps(confusion)) > 2 * 65_536
    one.finish(replace(run, state="done", confusion=confusion, error="€" * 30_000))
    (found,) = one.get(run.run_id)
    assert found.confusion == confusion
    assert found.error == "€" * 30_000
    assert one.list()[0].confusion == ()


def test_a_run_that_diverged_stands_and_one_that_failed_is_made_again(store: Callable[..., RunStore]) -> None:
    one = store()
    first = one.claim(SETTING, DATA, "rates").run
    one.finish(replace(first, state="failed", error="no memory"))
    second = one.claim(SETTING, DATA, "rates")
    assert (second.outcome, second.run.attempt) == ("ours", 2)
    one.finish(replace(second.run, state="diverged"))
    assert one.claim(SETTING, DATA, "rates").outcome == "stands"
    assert [(run.attempt, run.state) for run in one.list()] == [(2, "diverged")]


def test_a_lease_is_over_by_the_watchers_own_clock(table: RunTable, store: Callable[..., RunStore]) -> None:
    """Whatever the clocks of the two machines say: one lives in 2001, the other in 2286."""
    holder, clock = store(replace(ELSEWHERE, host="slow"), now=lambda: 1e9), Clock()
    watcher = store(ELSEWHERE, clock, now=lambda: 9.9e9)
    run = holder.claim(SETTING, DATA, "rates").run
    assert watcher.claim(SETTING, DATA, "rates").outcome == "held"
    clock.seconds = 60
    assert watcher.claim(SETTING, DATA, "rates").outcome == "held"
    run = holder.renew(run)
    clock.seconds = 100
    assert watcher.claim(SETTING, DATA, "rates").outcome == "held"
    clock.seconds = 160
    assert watcher.claim(SETTING, DATA, "rates").outcome == "held"
    clock.seconds = 161
    taken = watcher.claim(SETTING, DATA, "rates")
    assert (taken.outcome, taken.run.attempt) == ("ours", 2)
    # The first one was only cut off: its result is one, and the second one's as well.
    holder.finish(replace(run, state="done", rounds=1))
    assert watcher.get(run.run_id)[0].attempt == 1
    stands = watcher.finish(replace(taken.run, state="done", rounds=1))
    assert (stands.attempt, stands.state) == (1, "done")
    assert [found.attempt for found in watcher.list()] == [1]
    rows = table.rows({"run_id": run.run_id}, ["attempt", "state", "error"])
    assert {row["attempt"]: row["state"] for row in rows} == {1: "done", 2: "failed"}  # counted once
    assert "it was taken over, and attempt 1 stands" in {row["error"] for row in rows}


def test_of_two_that_take_over_one_does(store: Callable[..., RunStore]) -> None:
    store(replace(ELSEWHERE, host="gone")).claim(SETTING, DATA, "rates")
    clocks = [Clock(), Clock()]
    watchers = [store(replace(ELSEWHERE, pid=pid), clock) for pid, clock in enumerate(clocks)]
    for watcher, clock in zip(watchers, clocks, strict=True):
        assert watcher.claim(SETTING, DATA, "rates").outcome == "held"
        clock.seconds = 61
    assert [watcher.claim(SETTING, DATA, "rates").outcome for watcher in watchers] == ["ours", "held"]


def test_who_ended_on_this_machine_holds_nothing(store: Callable[..., RunStore]) -> None:
    store(replace(HERE, began=HERE.began - 86_400_000)).claim(SETTING, DATA, "rates")
    assert store(HERE).claim(SETTING, DATA, "rates").run.attempt == 2
    assert store(ELSEWHERE).claim(SETTING, DATA, "rates").outcome == "held"


def test_a_claim_whose_answer_was_lost_is_still_ours(table: RunTable, store: Callable[..., RunStore]) -> None:
    class Losing(MemoryRunTable):
        def insert(self, row: Any) -> bool:
            table.insert(row)
            return table.insert(row)

        def rows(self, *arguments: Any, **options: Any) -> Any:
            return table.rows(*arguments, **options)

    assert RunStore(Losing(), who=HERE).claim(SETTING, DATA, "rates").outcome == "ours"


def test_what_was_claimed_is_given_back_though_nobody_heard_that_it_was(
    table: RunTable, store: Callable[..., RunStore]
) -> None:
    class Interrupted(MemoryRunTable):
        def insert(self, row: Any) -> bool:
            table.insert(row)
            raise KeyboardInterrupt

        def rows(self, *arguments: Any, **options: Any) -> Any:
            return table.rows(*arguments, **options)

        def update(self, row: Any, *, patiently: bool = True) -> None:
            table.update(row, patiently=patiently)

    one = RunStore(Interrupted(), who=HERE)
    with pytest.raises(KeyboardInterrupt):
        one.claim(SETTING, DATA, "rates")
    one.give_back_last()
    claim = store(ELSEWHERE).claim(SETTING, DATA, "rates")
    assert (claim.outcome, claim.run.attempt) == ("ours", 2)


def test_what_is_given_back_at_the_end_is_neither_a_result_nor_anothers(
    store: Callable[..., RunStore],
) -> None:
    one = store(HERE)
    one.give_back_last()
    run = one.claim(SETTING, DATA, "rates").run
    one.finish(replace(run, state="done"))
    one.give_back_last()
    assert [each.state for each in store().list("rates")] == ["done"]


def test_another_run_of_the_same_id_is_not_taken_for_it(store: Callable[..., RunStore]) -> None:
    store().claim(SETTING, DATA, "rates")
    other = replace(SETTING, parameters={**SETTING.parameters, "hidden": (9,)}, usual={"hidden": (9,)})
    assert other.run_id == SETTING.run_id
    with pytest.raises(RunDiffers, match="hidden"):
        store().claim(other, DATA, "rates")


def test_a_record_of_a_newer_schema_is_not_read(table: RunTable, store: Callable[..., RunStore]) -> None:
    table.insert({**to_row(Run(run_id="10_1_0.1", data_sha256=DATA)), "schema": SCHEMA + 1})
    with pytest.raises(RunUnreadable, match="upgrade"):
        store().list()


def test_the_table_has_the_columns_of_a_record(table: RunTable) -> None:
    table.insert(to_row(Run(run_id="10_1_0.1", data_sha256=DATA)))
    assert set(table.rows({}, COLUMNS)[0]) == set(COLUMNS)
