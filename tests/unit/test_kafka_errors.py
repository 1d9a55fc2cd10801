import ast
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from typer.testing import CliRunner

import flumen.streams
from flumen.cli.main import app
from flumen.streams.errors import BadSetting, ClientFailed, WorkerIdTaken
from flumen.streams.kafka.errors import (
    failed_for_good,
    is_fatal,
    make_admin,
    make_consumer,
    make_producer,
    translated,
    whole_number,
)

MAKERS = [make_consumer, make_producer, make_admin]
NOBODY = {"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": 0}
SOURCES = [
    path
    for folder in ("streams", "cli", "replay")
    for path in Path(flumen.streams.__file__).parent.parent.glob(f"{folder}/**/*.py")
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"no.such": "1"}, "no.such"),
        ({"": "1"}, "its properties"),
        ({"session.timeout.ms": "soon"}, "session.timeout.ms"),
        ({"session.timeout.ms": "-4"}, "session.timeout.ms"),
        ({"group.protocol": "sneaky"}, "group.protocol"),
        ({"security.protocol": "SASL_PLAINTEXT"}, "GSSAPI"),
        ({"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}, "sasl.password must be set"),
        ({"security.protocol": "SSL", "ssl.ca.location": "/no/such/file"}, "ssl.ca.location"),
        ({"plugin.library.paths": "/no/such"}, "/no/such"),
        ({"enable.ssl.certificate.verification": "perhaps"}, "enable.ssl.certificate.verification"),
        ({"error_cb": "text"}, "error_cb"),
        ({"throttle_cb": "text"}, "throttle_cb"),
        ({"default.topic.config": "text"}, "default.topic.config"),
        ({"log_cb": "text"}, "log_cb"),
        ({"client.id": "\ud800"}, "client.id"),
        ({"client.id": "a\0b"}, "client.id"),
        ({"a\0b": "1"}, "a\\x00b"),
    ],
)
def test_what_librdkafka_refuses_is_a_wrong_setting(
    make: Any, properties: dict[str, str], named: str
) -> None:
    with pytest.raises(BadSetting) as raised:
        make({**NOBODY, **properties})
    message = str(raised.value)
    assert named in message
    assert "kafka_properties" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("make", "properties", "named"),
    [
        (make_consumer, {"group.protocol": "consumer", "session.timeout.ms": "6000"}, "session.timeout.ms"),
        (
            make_consumer,
            {"group.protocol": "consumer", "heartbeat.interval.ms": "600"},
            "heartbeat.interval.ms",
        ),
        (
            make_consumer,
            {"group.protocol": "consumer", "partition.assignment.strategy": "range"},
            "partition.assignment.strategy",
        ),
        (make_consumer, {"max.poll.interval.ms": "10000"}, "max.poll.interval.ms"),
        (make_producer, {"enable.idempotence": "true", "acks": "0"}, "acks"),
    ],
)
def test_the_property_that_is_at_fault_is_named_first(
    make: Any, properties: dict[str, str], named: str
) -> None:
    with pytest.raises(BadSetting, match=f"refuses the property '{named}'"):
        make({**NOBODY, **properties})


def test_what_is_no_text_is_not_shown() -> None:
    with pytest.raises(BadSetting) as raised:
        make_consumer({**NOBODY, "sasl.password": "hunter\ud800"})
    assert "hunter" not in str(raised.value)
    assert "sasl.password" in str(raised.value)


@pytest.mark.parametrize(
    "command",
    [
        ["produce", __file__],
        ["dead", "list"],
        ["dead", "replay", "0/0"],
        ["dead", "park", "--matching"],
        ["models", "status"],
        ["models", "history"],
        ["models", "rollback", "mnist"],
    ],
    ids=" ".join,
)
def test_every_command_says_so(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUMEN_KAFKA_PROPERTIES", '{"no.such": "1"}')
    ended = CliRunner().invoke(app, command).exception
    assert isinstance(ended, BadSetting)
    assert "refuses the property 'no.such'" in str(ended)


def test_the_consumer_protocol_is_taken() -> None:
    make_consumer({**NOBODY, "group.protocol": "consumer", "group.remote.assignor": "range"}).close()


def test_which_errors_never_pass() -> None:
    assert is_fatal(KafkaError(KafkaError._FATAL))
    assert is_fatal(KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced", True))
    assert not is_fatal(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert not is_fatal(KafkaError(KafkaError.REBALANCE_IN_PROGRESS))


@pytest.mark.parametrize("code", [KafkaError.FENCED_INSTANCE_ID, KafkaError.UNRELEASED_INSTANCE_ID])
@pytest.mark.parametrize("flagged", [True, False])
def test_a_twin_is_told_by_code_and_by_text(code: int, flagged: bool) -> None:
    text = KafkaError(code).str()
    error = KafkaError(code, text, True) if flagged else KafkaError(KafkaError._FATAL, f"Fatal error: {text}")
    assert type(failed_for_good("reading", error)) is WorkerIdTaken


def test_only_what_the_client_raised_is_translated() -> None:
    ours = ValueError("ours")
    assert translated("reading", ours) is ours
    assert (
        type(translated("reading", KafkaException(KafkaError(KafkaError._STATE, "wrong state"))))
        is ClientFailed
    )


@pytest.mark.parametrize(("given", "number"), [("16", 16), ("0x10", 16), (" 16 ", 16), (16, 16)])
def test_whole_numbers_as_librdkafka_takes_them(given: object, number: int) -> None:
    assert whole_number({"batch.size": given}, "batch.size", 5) == number


def test_no_whole_number() -> None:
    assert whole_number({}, "batch.size", 5) == 5
    with pytest.raises(BadSetting, match=r"batch\.size"):
        whole_number({"batch.size": "1e6"}, "batch.size", 5)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_clients_are_made_and_messages_are_read_in_one_place(path: Path) -> None:
    """A client that is made elsewhere, or headers that are read elsewhere, fail as no test of theirs would show."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    names = {name.name for node in imports if "confluent_kafka" in str(node.module) for name in node.names}
    clients = names & {"Consumer", "Producer", "AdminClient"}
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        called = call.func
        if isinstance(called, ast.Name):
            assert called.id not in clients, f"line {call.lineno}"
        if isinstance(called, ast.Attribute):
            assert called.attr != "headers", f"line {call.lineno}"
