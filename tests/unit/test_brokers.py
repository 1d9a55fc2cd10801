from typing import Any

import pytest
from clocks import Clock
from confluent_kafka import KafkaError, KafkaException

from streams.brokers import Brokers, callback
from streams.errors import KafkaRefused, KafkaUnavailable, StreamError, TopicMissing
from streams.health import Pulse


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(clock: Clock) -> Pulse:
    return Pulse(10, clock)


@pytest.fixture
def ended() -> list[Exception]:
    return []


@pytest.fixture
def brokers(pulse: Pulse, ended: list[Exception]) -> Brokers:
    return Brokers("images", {"bootstrap.servers": "127.0.0.1:9092"}, pulse, ended.append)


class Unreachable:
    """As a consumer whose brokers are down."""

    asked = 0

    def list_topics(self, *_: Any, **__: Any) -> None:
        self.asked += 1
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))


class Reachable:
    def list_topics(self, *_: Any, **__: Any) -> None:
        return None


def test_a_broker_that_is_down_is_a_problem_also_where_no_lag_is_seen(
    brokers: Brokers, pulse: Pulse, clock: Clock
) -> None:
    brokers.failed(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    clock.now = 11
    pulse.observe(lag=0, open_batches=0)
    assert "waiting for kafka for 11 s (no broker answers at 127.0.0.1:9092)" in str(pulse.problem())
    assert pulse.stall() is None


def test_why_no_broker_answers_is_told_where_it_is_known(
    brokers: Brokers, pulse: Pulse, clock: Clock
) -> None:
    refused = "sasl_plaintext://127.0.0.1:9092/1: SASL authentication error: Invalid password (after 3ms in state X)"
    brokers.failed(KafkaError(KafkaError._AUTHENTICATION, refused))
    brokers.failed(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    clock.now = 11
    pulse.observe(lag=0, open_batches=0)
    assert "waiting for kafka for 11 s (SASL authentication error: Invalid password)" in str(pulse.problem())
    brokers.answered()
    brokers.failed(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    clock.now = 30
    assert "(no broker answers at 127.0.0.1:9092)" in str(pulse.problem())


def test_it_is_asked_for_until_it_is_back(brokers: Brokers, pulse: Pulse) -> None:
    consumer: Any = Unreachable()
    brokers.ask(consumer)
    assert consumer.asked == 0  # nobody is waited for
    brokers.failed(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    brokers.ask(consumer)
    assert (consumer.asked, pulse.is_waiting_for("kafka")) == (1, True)
    back: Any = Reachable()
    brokers.ask(back)
    assert not pulse.is_waiting_for("kafka")


def test_a_fatal_error_ends_the_worker_and_a_passing_one_does_not(
    brokers: Brokers, ended: list[Exception]
) -> None:
    brokers.failed(KafkaError(KafkaError._TRANSPORT, "gone"))
    assert ended == []
    brokers.failed(KafkaError(KafkaError._FATAL, "fenced", True))
    assert [type(error) for error in ended] == [KafkaUnavailable]


def test_what_stands_in_place_of_a_message(brokers: Brokers) -> None:
    assert not brokers.is_error(None)
    assert brokers.is_error(KafkaError(KafkaError._TRANSPORT))
    with pytest.raises(TopicMissing, match="'images' does not exist any more"):
        brokers.is_error(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    with pytest.raises(StreamError, match="failed for good"):
        brokers.is_error(KafkaError(KafkaError._FATAL, "fenced", True))
    with pytest.raises(KafkaRefused, match="forbids this user to use the consumer group"):
        brokers.is_error(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))


def test_nothing_leaves_a_callback(ended: list[Exception]) -> None:
    taken: list[int] = []
    callback(taken.append, ended.append)(1)
    callback(lambda: int("no number"), ended.append)()
    assert (taken, [type(error) for error in ended]) == ([1], [ValueError])
