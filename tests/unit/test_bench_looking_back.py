"""What the benchmark of looking back makes of what it measured, and of the images that it stores."""

import itertools

import numpy as np
import pytest

from bench.looking_back.figures import (
    as_json,
    like_figures,
    live_figures,
    memory_figures,
    rate_figures,
    table_rows,
)
from bench.looking_back.live import Found
from bench.looking_back.memory import EXPORT, Peak
from bench.looking_back.stored import AT_ONCE, renamed
from bench.looking_back.turns import Turns, take_turns
from flumen.interceptor import Batch, ImageMessage

TURNS = Turns(
    1000,
    {"audit": [10.0, 8.0, 4.0], "kudu": [1.0, 1.0, 1.0], "solr": [4.0, 2.0, 2.0]},
    {"audit": [4.0, 4.0, 4.0], "kudu": [1.0, 1.0, 1.0], "solr": [1.0, 1.0, 2.0]},
)


def test_a_share_is_what_the_others_take_together_by_what_one_takes_turn_by_turn() -> None:
    assert TURNS.shares("audit", "kudu", "solr") == [0.5, 0.375, 0.75]
    assert TURNS.cpu_shares("audit", "kudu", "solr") == [0.5, 0.5, 0.75]
    assert (TURNS.rate("audit"), TURNS.cpu_us("audit")) == (125.0, 4000.0)


def test_the_first_turn_warms_up_and_each_way_has_its_turn() -> None:
    seen: list[str] = []

    def way(name: str) -> int:
        seen.append(name)
        return 5

    turns = take_turns(5, {name: lambda name=name: way(name) for name in ("a", "b")}, 2)
    assert seen == ["a", "b"] * 3
    assert {name: len(took) for name, took in turns.seconds.items()} == {"a": 2, "b": 2}


def test_a_way_that_has_not_seen_all_rows_ends_the_measurement() -> None:
    with pytest.raises(SystemExit, match="b: 4 of 5 rows"):
        take_turns(5, {"a": lambda: 5, "b": lambda: 4}, 1)


def test_a_ratio_is_held_to_its_least_and_what_is_missed_is_said() -> None:
    of = ("kudu", "solr")
    met, missed = (rate_figures(TURNS, "audit", {("of scans", of): least})[0] for least in (0.5, 0.51))
    assert (met.value, met.is_met, missed.is_met) == (0.5, True, False)
    rows = table_rows([met, missed])
    assert rows[0] == ("audit, of scans", "0.50", "0.50 0.38 0.75", "0.5 or more")
    assert rows[1][3] == "0.51 or more  MISSED"
    assert [each["is_met"] for each in as_json([met, missed])["figures"]] == [True, False]


def test_memory_is_that_of_the_most_rows_by_that_of_the_fewest() -> None:
    found = {
        100: {"audit": Peak(200, 1.0), EXPORT: Peak(100, 1.0)},
        1000: {"audit": Peak(300, 9.0), EXPORT: Peak(900, 9.0)},
    }
    audit, export = memory_figures(found)
    assert (audit.value, audit.is_met) == (1.5, False)
    assert (export.value, export.is_met) == (9.0, True)


def test_windows_of_a_worker_and_questions_are_summed_up() -> None:
    ratio, beside, alone = live_figures(Found(alone=[100.0, 300.0], beside=[150.0, 150.0]))
    assert (ratio.value, ratio.is_met, beside.value, alone.value) == (0.75, True, 150.0, 200.0)
    [median] = like_figures([3.0, 9.0, 4.0], 10)
    assert (median.value, median.beside) == (4.0, "worst 9.0 of 3")


def test_stored_images_have_ids_of_their_own_and_arrive_one_after_another_until_now() -> None:
    images = [ImageMessage(f"digit {place}", b"", 0) for place in range(AT_ONCE)]
    block = Batch(images, {"label": ["7"] * AT_ONCE})
    rows = AT_ONCE + 10
    first, last = (renamed(block, start, rows, 10**15) for start in (0, AT_ONCE))
    ids = list(itertools.chain(first.columns["id"], last.columns["id"]))
    assert (len(first), len(last)) == (AT_ONCE, 10)
    assert len(set(ids)) == rows
    assert ids == [image.id for batch in (first, last) for image in batch.images]
    arrived = np.concatenate([first.columns["ingested_at"], last.columns["ingested_at"]])
    assert (np.diff(arrived) > 0).all()
    assert 0 <= 10**15 - arrived[-1] < np.diff(arrived)[0]
    assert len(last.columns["label"]) == 10
