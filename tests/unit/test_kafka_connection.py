"""What is made of librdkafka's words; tests/integration/test_kafka_secured.py has them from real brokers."""

import pytest
from confluent_kafka import KafkaError

from flumen.streams.errors import ClientFailed, KafkaRefused, KafkaUnavailable, StreamError
from flumen.streams.kafka.connection import Connection, refusal

DOWN = KafkaError(KafkaError._TRANSPORT, "Failed to get metadata: Local: Broker transport failure")
AFTER = "(after 302ms in state AUTH_REQ)"


def connection(**config: str) -> Connection:
    return Connection({"bootstrap.servers": "127.0.0.1:1", **config})


@pytest.mark.parametrize(
    ("code", "told", "kind", "said"),
    [
        (
            KafkaError._AUTHENTICATION,
            f"sasl_ssl://k.example:9093/bootstrap: SASL authentication error: Invalid username or password {AFTER}",
            KafkaRefused,
            r"Kafka at k.example:9093 refuses the user name or the password \(Invalid username or password\)\. Correct",
        ),
        (
            KafkaError._SSL,
            "ssl://[::1]:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: x",
            KafkaRefused,
            r"its authority is unknown here, or it is for another host",
        ),
        (
            KafkaError._SSL,
            "ssl://k:9093/bootstrap: SSL handshake failed: error:0A00045C::tlsv13 alert certificate required",
            KafkaRefused,
            r"tlsv13 alert certificate required\. Look at ssl\.\* in FLUMEN_KAFKA_PROPERTIES",
        ),
        (
            KafkaError._RESOLVE,
            f"nowhere:9092/bootstrap: Failed to resolve 'nowhere:9092': Name or service not known {AFTER}",
            KafkaUnavailable,
            r"there is no host 'nowhere' \(Name or service not known\); correct FLUMEN_KAFKA_SERVERS",
        ),
        (
            KafkaError._RESOLVE,
            f"kafka:19092/1: Failed to resolve 'kafka:19092': Name or service not known {AFTER}",
            KafkaUnavailable,
            r"a broker calls itself kafka:19092 \(its advertised\.listeners\)",
        ),
        (
            KafkaError._TRANSPORT,
            f"127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused {AFTER}",
            KafkaUnavailable,
            r"no Kafka broker answers at 127.0.0.1:1 \(Connect to .* refused\)\. Start one with `flumen up`",
        ),
    ],
)
def test_the_reason_that_was_heard_is_what_is_raised(
    code: int, told: str, kind: type[StreamError], said: str
) -> None:
    heard = connection()
    heard.hear(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    heard.hear(KafkaError(code, told))
    error = heard.failure(DOWN)
    assert type(error) is kind
    with pytest.raises(kind, match=said):
        raise error


@pytest.mark.parametrize(
    ("state", "what", "kind"),
    [
        (
            "SSL_HANDSHAKE",
            "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
            KafkaRefused,
        ),
        ("SSL_HANDSHAKE", "Disconnected: SSL connection closed by peer", KafkaRefused),
        ("SSL_HANDSHAKE", "Receive failed: Connection reset by peer", KafkaRefused),
        ("SSL_HANDSHAKE", "Connection setup timed out in state SSL_HANDSHAKE", KafkaUnavailable),
        ("APIVERSION_QUERY", "Disconnected", KafkaUnavailable),
    ],
)
@pytest.mark.parametrize("more", ["", ", 3 identical error(s) suppressed"])
def test_a_broker_that_ends_the_handshake_speaks_no_tls_whichever_side_hears_of_it_first(
    state: str, what: str, kind: type[StreamError], more: str
) -> None:
    heard = connection(**{"security.protocol": "sasl_ssl"})
    heard.hear(
        KafkaError(
            KafkaError._TRANSPORT, f"sasl_ssl://k:1/bootstrap: {what} (after 1ms in state {state}{more})"
        )
    )
    error = heard.failure(DOWN)
    assert type(error) is kind
    assert ("speaks no TLS" in str(error)) == (kind is KafkaRefused)


def test_a_password_is_blamed_before_a_connection() -> None:
    heard = connection()
    heard.hear(KafkaError(KafkaError._TRANSPORT, f"k:1/bootstrap: Disconnected {AFTER}"))
    heard.hear(KafkaError(KafkaError._AUTHENTICATION, f"sasl_plaintext://k:1/bootstrap: no {AFTER}"))
    assert type(heard.failure(DOWN)) is KafkaRefused
    heard.answered()
    assert type(heard.failure(DOWN)) is KafkaUnavailable


def test_a_fatal_error_comes_before_all_that_was_heard() -> None:
    heard = connection()
    heard.hear(KafkaError(KafkaError._AUTHENTICATION, f"sasl_plaintext://k:1/bootstrap: no {AFTER}"))
    assert type(heard.failure(KafkaError(KafkaError._FATAL))) is ClientFailed


def test_what_is_forbidden_is_named() -> None:
    assert refusal(DOWN) is None
    assert "the topic" in str(refusal(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)))
    assert "the transactional id" in str(connection().failure(KafkaError(53)))
