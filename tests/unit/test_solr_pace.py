"""How long a document may wait to be visible."""

from flumen.stores.solr.pace import CommitPace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def paced(pace: CommitPace, clock: Clock, documents: int, per_second: float, seconds: float) -> int:
    """Write batches of so many documents at a rate, and return what the last one is told."""
    within_ms = 0
    for _ in range(int(seconds * per_second / documents)):
        clock.now += documents / per_second
        within_ms = pace.within_ms(documents)
    return within_ms


def test_at_rest_a_document_is_visible_as_soon_as_it_is_set() -> None:
    pace = CommitPace(1000, 5000, clock := Clock())
    assert pace.within_ms(1) == 1000
    assert paced(pace, clock, 10, per_second=100, seconds=60) == 1000
    assert paced(pace, clock, 50, per_second=500, seconds=60) == 1000


def test_one_full_batch_is_no_load() -> None:
    assert CommitPace(1000, 5000, Clock()).within_ms(500) == 1000


def test_the_more_come_the_longer_it_may_take_up_to_the_bound() -> None:
    waits = []
    for per_second in (2000, 3000, 4000, 10_000):
        pace = CommitPace(1000, 5000, clock := Clock())
        waits.append(paced(pace, clock, 500, per_second, seconds=30))
    assert waits == sorted(waits)
    assert 2000 <= waits[0] <= 2500
    assert 4000 <= waits[2] <= 4500
    assert waits[3] == 5000


def test_after_the_load_it_is_at_rest_again() -> None:
    pace = CommitPace(1000, 5000, clock := Clock())
    assert paced(pace, clock, 500, per_second=10_000, seconds=30) == 5000
    clock.now += 10
    assert pace.within_ms(1) == 1000


def test_a_bound_below_the_time_at_rest_does_not_count() -> None:
    pace = CommitPace(3000, 1000, clock := Clock())
    assert paced(pace, clock, 500, per_second=10_000, seconds=30) == 3000
