"""What `KafkaConsumer` makes of one call of Kafka's client that brings several things."""

from collections.abc import Callable
from typing import Any

import pytest
from clocks import Clock
from confluent_kafka import KafkaError, Message
from structlog.testing import capture_logs

from flumen.streams.kafka import consumer as module
from flumen.streams.kafka.consumer import KafkaConsumer
from flumen.streams.live.health import Pulse


class Client:
    """A consumer of Kafka's: what one call brings, and the errors that it tells behind that."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._tell: Callable[[KafkaError], None] = config["error_cb"]
        self.come: list[Message] = []
        self.behind: list[KafkaError] = []

    def consume(self, most: int, timeout_s: float) -> list[Message]:
        assert timeout_s == 0
        come, self.come = self.come[:most], []
        for error in self.behind:
            self._tell(error)
        self.behind = []
        return come


class Woken:
    """As `Arrivals`; nobody waits here."""

    is_told = True

    def __init__(self, _client: Client) -> None:
        pass

    def wake(self) -> None:
        pass


@pytest.fixture
def pulse() -> Pulse:
    return Pulse(10, Clock())


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    made: list[Client] = []

    def make(config: dict[str, Any], _log: Any) -> Client:
        made.append(Client(config))
        return made[-1]

    monkeypatch.setattr(module, "make_consumer", make)
    monkeypatch.setattr(module, "Arrivals", Woken)
    return made


@pytest.fixture
def consumer(clients: list[Client], pulse: Pulse) -> KafkaConsumer:
    def end(error: Exception) -> None:
        raise error

    return KafkaConsumer("images", {"bootstrap.servers": "127.0.0.1:9092"}, pulse, end)


def message(error: KafkaError | None = None) -> Message:
    return Message(topic="images", partition=0, offset=7, value=b"", error=error)


def test_brokers_that_go_down_behind_a_message_are_waited_for(
    consumer: KafkaConsumer, clients: list[Client], pulse: Pulse
) -> None:
    clients[0].come, clients[0].behind = [message()], [KafkaError(KafkaError._ALL_BROKERS_DOWN)]
    assert len(consumer.take(15)) == 1
    assert pulse.is_waiting_for("kafka")
    clients[0].come = [message()]
    assert len(consumer.take(15)) == 1
    assert not pulse.is_waiting_for("kafka")


def test_leave_to_read_that_is_withdrawn_behind_a_message_is_waited_for(
    consumer: KafkaConsumer, clients: list[Client], pulse: Pulse
) -> None:
    clients[0].come = [message(), message(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))]
    assert len(consumer.take(15)) == 1
    assert pulse.is_waiting_for("kafka's leave to read")
    clients[0].come = [message()]
    consumer.take(15)
    assert not pulse.is_waiting_for("kafka's leave to read")


@pytest.mark.usefixtures("clients")
def test_a_binding_that_does_not_tell_is_named(pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    for is_told in (True, False):
        monkeypatch.setattr(Woken, "is_told", is_told)
        with capture_logs() as lines:
            KafkaConsumer("images", {"bootstrap.servers": "127.0.0.1:9092"}, pulse, lambda _: None)
        said.append([line["event"] for line in lines])
    assert said == [
        [],
        ["this version of confluent-kafka is not known; looking for messages 200 times a second"],
    ]
