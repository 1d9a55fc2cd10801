"""A Kudu that stops answering in the middle of an experiment is waited for; one that never answered is not."""

from collections.abc import Callable
from typing import Any

import pytest

from flumen.models.experiments.run import BRIEF, Run, to_row
from flumen.stores.errors import StoreUnavailable
from flumen.stores.kudu import KuduOptions, KuduRuns


class Answering:
    """A driver without any table, which fails as often as it is told to."""

    failures = 0

    def describe(self, table: str) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")

    def close(self) -> None:
        pass


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Answering:
    driver = Answering()
    monkeypatch.setattr("flumen.stores.kudu.runs.open_driver", lambda _options: driver)
    return driver


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def make(slept: list[float]) -> Callable[[float], Any]:
    return lambda patience_s: KuduRuns(KuduOptions(masters="kudu:7051"), patience_s, slept.append)


def test_it_is_waited_for(driver: Answering, make: Any, slept: list[float]) -> None:
    runs = make(600.0)
    assert runs.rows({}, BRIEF) == []
    driver.failures = 3
    assert runs.rows({}, BRIEF) == []
    assert len(slept) == 3


def test_patience_ends(driver: Answering, make: Any, slept: list[float]) -> None:
    runs = make(0.0)
    runs.rows({}, BRIEF)
    driver.failures = 3
    with pytest.raises(StoreUnavailable):
        runs.rows({}, BRIEF)
    assert slept == []


def test_what_is_given_back_at_the_end_is_not_waited_for(
    driver: Answering, make: Any, slept: list[float]
) -> None:
    runs = make(600.0)
    runs.rows({}, BRIEF)
    driver.failures = 1
    with pytest.raises(StoreUnavailable):
        runs.update(to_row(Run(run_id="10_1_0.1", data_sha256="d")), patiently=False)
    assert slept == []


def test_one_that_never_answered_is_an_error_at_once(
    driver: Answering, make: Any, slept: list[float]
) -> None:
    driver.failures = 1
    with pytest.raises(StoreUnavailable):
        make(600.0).rows({}, BRIEF)
    assert slept == []
