"""The rounds of a training, kept beside its model and read back."""

import itertools
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flumen.models.errors import ReportInvalid
from flumen.models.trainers.kept_rounds import SCHEMA, keep_rounds, rounds_of
from flumen.models.trainers.trainer import Progress

NUMBERS = st.none() | st.floats(0, 1e9)
FILE = "few/1/report/training.json"


@given(st.lists(st.tuples(NUMBERS, NUMBERS, st.floats(0, 1e6)), min_size=1, max_size=30))
def test_rounds_come_back(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[float, float, float]]
) -> None:
    url = str(tmp_path_factory.mktemp("models"))
    rounds = tuple(Progress(n, len(values), *each) for n, each in enumerate(values, 1))
    keep_rounds(url, "few", 1, rounds)
    assert rounds_of(url, "few", 1) == rounds


def test_of_many_some_are_kept_with_the_last_and_a_loss_that_is_no_number_is_none(tmp_path: Path) -> None:
    keep_rounds(str(tmp_path), "few", 1, [Progress(n, 5001, math.inf, math.nan, n) for n in range(1, 5002)])
    kept = rounds_of(str(tmp_path), "few", 1)
    assert 500 < len(kept) <= 1000
    assert kept[-1] == Progress(5001, 5001, None, None, 5001)
    assert len({after.number - before.number for before, after in itertools.pairwise(kept)}) == 1


def test_a_version_without_has_none(tmp_path: Path) -> None:
    keep_rounds(str(tmp_path), "few", 1, ())
    assert rounds_of(str(tmp_path), "few", 1) == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"schema": 1, "total": 1, "rounds": [[1]]}', "damaged"),
        ('{"schema": 1, "total": 1, "rounds": [[null, 1, 1, 1]]}', "no number"),
        (json.dumps({"schema": SCHEMA + 1}), "upgrade"),
    ],
)
def test_what_is_damaged_or_newer_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ReportInvalid, match=said):
        rounds_of(str(tmp_path), "few", 1)
