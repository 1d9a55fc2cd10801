"""What the benchmark of a grid extrapolates: the epochs are those that are computed."""

from collections.abc import Sequence

import pytest

from bench.grid import Cost, Rung, cost_of, rungs_of
from flumen.models.experiments.grid import read_grid
from flumen.models.experiments.halving import by_halving, halving_of
from flumen.models.experiments.run import Measures, Run
from flumen.models.experiments.search import MOST_SETTINGS, settings_of
from flumen.models.experiments.setting import EPOCHS, Setting
from flumen.models.trainers.trainer import find_trainer


def test_the_rungs_are_those_of_the_articles_grid() -> None:
    grid = read_grid("article")
    settings = settings_of(grid, find_trainer(grid.trainer), 10, MOST_SETTINGS)
    computed = []

    def compute(rung: Sequence[Setting]) -> list[Run]:
        computed.append((len(rung), rung[0].parameters[EPOCHS]))
        good = Measures(0.9, 0.9, 0.9, 0.9)
        return [Run(run_id=one.run_id, data_sha256="d", state="done", validation=good) for one in rung]

    halving = halving_of(grid, settings, may_choose=True)
    by_halving(settings, halving, compute)
    assert list(rungs_of(halving, len(settings))) == computed == [(140, 1), (35, 3), (9, 15)]


def test_minutes_are_those_of_runs_epochs_and_beginnings() -> None:
    cost = Cost(each=1.0, epoch=2.0, start=6.0, processes=2)
    assert cost.minutes([(10, 3)]) == pytest.approx((6 + 10 * 7 / 2) / 60)
    assert cost.minutes([(10, 3), (2, 1)]) == pytest.approx((12 + 10 * 7 / 2 + 2 * 3 / 2) / 60)


def test_an_epoch_costs_what_training_takes_and_a_run_what_is_beside_it() -> None:
    few, more = Rung(training=3.0, beside=1.0, start=5.0), Rung(training=7.0, beside=3.0, start=0.5)
    cost = cost_of(few, more)
    assert (cost.epoch, cost.each, cost.start) == (2.0, 1.0 + 2.0, 5.0)
