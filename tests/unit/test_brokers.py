from typing import Any

import pytest
from clocks import Clock
from confluent_kafka import KafkaError, KafkaException

from flumen.streams.errors import ClientFailed, TopicMissing, WorkerIdTaken
from flumen.streams.kafka.brokers import Brokers, callback, group_config
from flumen.streams.live.health import Pulse


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
    config = {"bootstrap.servers": "127.0.0.1:9092", "group.instance.id": "w1"}
    return Brokers("images", config, pulse, ended.append)


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
    assert [type(error) for error in ended] == [ClientFailed]


def test_what_stands_in_place_of_a_message(brokers: Brokers) -> None:
    assert not brokers.is_error(None)
    assert brokers.is_error(KafkaError(KafkaError._TRANSPORT))
    with pytest.raises(TopicMissing, match="'images' does not exist any more"):
        brokers.is_error(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))


@pytest.mark.parametrize("code", [KafkaError.FENCED_INSTANCE_ID, KafkaError.UNRELEASED_INSTANCE_ID])
def test_who_is_fenced_ends_and_names_the_twin(brokers: Brokers, code: int) -> None:
    # As librdkafka 2.16 puts it in place of a message: the code says `fatal`, the text says why, the flag is not set.
    why = KafkaError(code).str()
    error = KafkaError(KafkaError._FATAL, f"Fatal error: {why}: Fatal consumer error: {why}")
    assert not error.fatal()
    with pytest.raises(WorkerIdTaken, match="as 'w1' has ended: FLUMEN_WORKER_ID is used twice"):
        brokers.is_error(error)


@pytest.mark.parametrize(
    "error",
    [
        KafkaError(KafkaError._FATAL),
        KafkaError(KafkaError._FATAL, "something else"),
        KafkaError(KafkaError.UNSUPPORTED_VERSION, "the broker does not know the protocol", True),
    ],
)
def test_no_fatal_error_is_passing(brokers: Brokers, error: KafkaError) -> None:
    with pytest.raises(ClientFailed, match="reading from 'images' as 'w1' has failed for good") as raised:
        brokers.is_error(error)
    assert not isinstance(raised.value, WorkerIdTaken)
    assert not raised.value.retriable


def test_who_may_not_read_waits_until_it_is_let(brokers: Brokers, pulse: Pulse, clock: Clock) -> None:
    refused = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert brokers.is_error(refused)
    clock.now = 11
    pulse.observe(lag=0, open_batches=0)
    assert refused.str() in str(pulse.problem())
    brokers.answered()  # a broker that answers other questions is no leave to read
    assert pulse.problem()
    brokers.delivered()
    assert pulse.problem() is None


def test_with_the_consumer_protocol_the_broker_shares_partitions_out() -> None:
    assert group_config({}) == {"partition.assignment.strategy": "cooperative-sticky"}
    assert group_config({"group.protocol": "classic"}) == group_config({})
    assert group_config({"group.protocol": "Consumer"}) == {}


def test_nothing_leaves_a_callback(ended: list[Exception]) -> None:
    taken: list[int] = []
    callback(taken.append, ended.append)(1)
    callback(lambda: int("no number"), ended.append)()
    assert (taken, [type(error) for error in ended]) == ([1], [ValueError])
