"""The record of a run: what is ignored, what has a default, what is damaged."""

import os
import subprocess
import sys
import zlib
from base64 import b64encode
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flumen.models.errors import RunUnreadable
from flumen.models.experiments.answered import packed_answers, right_answers
from flumen.models.experiments.claimant import Claimant, parse_claimant, this_process
from flumen.models.experiments.grid import Data
from flumen.models.experiments.moment import at_one_moment, moment_of
from flumen.models.experiments.run import Measures, Round, Run, from_row, thinned, to_row
from flumen.stores.kudu.run_schema import runs_table

RUN = Run(
    run_id="10_1_0.1",
    data_sha256="d",
    parameters={"rate": 0.1, "hidden": (5, 4), "early": True, "kind": "x"},
    curves=(Round(1, 0.1, 0.2, 0.3),),
    validation=Measures(0.9, 0.9, 0.9, 0.9),
    confusion=((1, 2, 3),),
    error="no",
)


def test_it_comes_back_and_what_is_not_known_is_ignored() -> None:
    assert from_row({**to_row(RUN), "engine": "one of a later version"}) == RUN


def test_what_an_older_version_did_not_write_has_its_default() -> None:
    assert from_row({"run_id": "a", "data_sha256": "b"}) == Run(run_id="a", data_sha256="b")


@pytest.mark.parametrize("column", ["parameters", "curves", "confusion"])
@pytest.mark.parametrize("text", ["{", "[1]", "7"])
def test_a_damaged_record_is_named(column: str, text: str) -> None:
    with pytest.raises(RunUnreadable, match=r"'10_1_0\.1', attempt 1"):
        from_row({**to_row(RUN), column: text})


def test_the_table_in_kudu_has_a_column_for_each_part_of_it() -> None:
    assert {column.name for column in runs_table("").columns} == {*to_row(RUN), "pieces"}


@given(st.integers(0, 5000))
def test_of_many_rounds_some_are_kept_and_always_the_last(count: int) -> None:
    rounds = tuple(Round(number, None, None, 0.0) for number in range(count))
    kept = thinned(rounds)
    assert kept[-1:] == rounds[-1:]
    assert min(count, 500) <= len(kept) <= 1000
    assert len({later.number - one.number for one, later in pairwise(kept)}) <= 1


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=300))
def test_which_answers_were_right_comes_back(answers: list[tuple[int, int]]) -> None:
    known, predicted = np.array(answers, np.int64).reshape(-1, 2).T
    run = from_row(to_row(replace(RUN, answers=packed_answers(known.astype(np.uint8), predicted))))
    right = right_answers(run)
    assert right is not None
    np.testing.assert_array_equal(right, known == predicted)


def test_a_run_without_answers_has_none_and_damaged_ones_are_named() -> None:
    assert right_answers(RUN) is None
    odd = b64encode(zlib.compress(b"abc")).decode()
    for damaged in ("no base64", b64encode(b"no zlib").decode(), odd):
        with pytest.raises(RunUnreadable, match=r"'10_1_0\.1'"):
            right_answers(replace(RUN, answers=damaged))


def test_who_holds_a_run_is_read_back() -> None:
    for one in (this_process(), Claimant("host:with:colons", 1, "place", 2)):
        assert parse_claimant(str(one)) == one
    assert parse_claimant("") is parse_claimant("a:b:c:d") is None


def test_this_process_has_not_ended_and_one_elsewhere_is_not_known_to() -> None:
    assert not this_process().has_ended()
    assert not Claimant("other", 2**22 + 1, "elsewhere", 0).has_ended()


def test_a_process_has_ended_when_it_has_and_whatever_the_time_of_day_is_set_to() -> None:
    uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 < this_process().began <= uptime_s * os.sysconf("SC_CLK_TCK")
    saying = "import flumen.models.experiments.claimant as c; print(c.this_process(), flush=True); input()"
    command = [sys.executable, "-c", saying]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        claimant = parse_claimant(process.stdout.readline().strip())
        assert claimant is not None
        assert claimant.pid == process.pid
        assert not claimant.has_ended()
        assert replace(claimant, began=claimant.began - 1).has_ended()  # another one had that number before
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert claimant.has_ended()  # also before its end was noticed
    assert claimant.has_ended()


KUDU = Data({"from": "kudu", "where": "knownlabel < 5"})


def test_an_experiment_keeps_the_moment_of_its_first_runs() -> None:
    assert moment_of(at_one_moment(KUDU, [], 9)) == 9
    runs = [replace(RUN, snapshot_at=moment) for moment in (7, None, 5)]
    found = at_one_moment(KUDU, runs, 9)
    assert found.options == {**KUDU.options, "snapshot": 5}
    named = Data({**KUDU.options, "snapshot": 3})
    assert at_one_moment(named, runs, 9) == named
    files = Data({"from": "idx"})
    assert at_one_moment(files, runs, 9) == files
    assert moment_of(files) is None
