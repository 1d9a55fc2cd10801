"""What is said where a real broker does not let a client in."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from certificates import Authority
from secured_broker import NOBODY, NOBODYS_PASSWORD, PASSWORD, USER, SecuredBroker, secured_broker

from flumen.cli.background import environment_of
from flumen.streams.errors import KafkaRefused, KafkaUnavailable, StreamError
from flumen.streams.kafka.group_members import Unknown, group_members
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_topics, existing_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.settings import Settings, load_settings

MARKER = "this-is-no-password-of-anybodys"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with secured_broker(tmp_path_factory.mktemp("secured")) as broker:
        yield broker


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return file


def settings_of(servers: str, **properties: str) -> Settings:
    named = {name.replace("_", "."): value for name, value in properties.items()}
    return load_settings(kafka_servers=servers, kafka_properties=named)


def with_password(servers: str, password: str = PASSWORD, **properties: str) -> Settings:
    default = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_username": USER}
    return settings_of(servers, **{**default, "sasl_password": password, **properties})


def with_tls(servers: str, authority: Path, password: str = PASSWORD) -> Settings:
    return with_password(servers, password, security_protocol="SASL_SSL", ssl_ca_location=str(authority))


def what_is_said(settings: Settings) -> StreamError:
    with pytest.raises(StreamError) as caught:
        existing_topics(settings)
    assert MARKER not in f"{caught.value} {caught.value!r} {settings!r} {settings.consumer_config()}"
    assert "flumen up" not in str(caught.value)
    return caught.value


def test_the_right_password_is_let_in_also_from_a_file(broker: SecuredBroker, password_file: Path) -> None:
    existing_topics(with_password(broker.sasl))
    existing_topics(with_tls(broker.tls, broker.authority))
    existing_topics(
        load_settings(
            kafka_servers=broker.sasl,
            kafka_properties={
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": USER,
                "sasl.password_file": str(password_file),
            },
        )
    )


@pytest.mark.parametrize("client", ["admin", "progress", "follow", "publish"])
def test_a_wrong_password_is_called_so_by_every_client(broker: SecuredBroker, client: str) -> None:
    settings = with_password(broker.sasl, MARKER)
    with pytest.raises(KafkaRefused, match="refuses the user name or the password") as caught:
        ask(client, settings)
    assert broker.sasl in str(caught.value)
    assert "sasl.password_file" in str(caught.value)
    assert MARKER not in str(caught.value)


def ask(client: str, settings: Settings) -> None:
    match client:
        case "admin":
            ensure_topics(settings)
        case "progress":
            with closing(TopicReader(settings)) as reader:
                reader.progress("images")
        case "follow":
            with closing(TopicReader(settings)) as reader:
                list(reader.follow(["models.control"]))
        case "publish":
            publish([], settings.producer_config(), "images", None, lambda _: None)


def test_what_else_is_wrong_is_said_as_well(broker: SecuredBroker, tmp_path: Path) -> None:
    other = Authority.make().save(tmp_path / "other.pem")
    said: dict[str, tuple[Settings, type[StreamError], str]] = {
        "authority": (
            with_tls(broker.tls, other, MARKER),
            KafkaRefused,
            "signed by an authority that is not trusted",
        ),
        "name": (
            with_tls(broker.named, broker.authority, MARKER),
            KafkaRefused,
            "for another host: .*127.0.0.1",
        ),
        "tls password": (with_tls(broker.tls, broker.authority, MARKER), KafkaRefused, "the password"),
        "mechanism": (
            with_password(broker.sasl, MARKER, sasl_mechanism="SCRAM-SHA-256"),
            KafkaRefused,
            "set sasl.mechanism in FLUMEN_KAFKA_PROPERTIES to PLAIN",
        ),
        "no password wanted": (with_password(broker.open, MARKER), KafkaRefused, "takes no passwords"),
        "no TLS": (with_tls(broker.open, broker.authority, MARKER), KafkaRefused, "speaks no TLS"),
        "password wanted": (settings_of(broker.sasl), KafkaUnavailable, "set security.protocol"),
        "host": (
            settings_of("no-such-host.invalid:9092"),
            KafkaUnavailable,
            "no host 'no-such-host.invalid'",
        ),
    }
    with ThreadPoolExecutor(len(said)) as pool:  # where a broker may yet answer, it is waited for
        errors = list(pool.map(what_is_said, (settings for settings, _, _ in said.values())))
    for (name, (_, kind, words)), error in zip(said.items(), errors, strict=True):
        assert type(error) is kind, f"{name}: {error}"
        assert re.search(words, str(error)), f"{name}: {error}"


def test_what_a_user_may_not_use_is_named(broker: SecuredBroker) -> None:
    ensure_topics(with_password(broker.sasl))
    bob = with_password(broker.sasl, NOBODYS_PASSWORD, sasl_username=NOBODY)
    with pytest.raises(KafkaRefused, match="may not see or create the topic 'images"):
        ensure_topics(bob)
    with pytest.raises(KafkaRefused, match="forbids this user to use the topic"):
        ask("progress", bob)
    with pytest.raises(KafkaRefused, match="forbids this user to use the topic"):
        ask("follow", bob)
    forbidden = group_members(bob.admin_config(), ["flumen"])["flumen"]
    assert isinstance(forbidden, Unknown)
    assert "Group authorization failed" in forbidden.reason


def test_a_worker_that_is_not_let_in_says_why_and_ends(broker: SecuredBroker, tmp_path: Path) -> None:
    settings = with_password(broker.sasl, MARKER, debug="conf,security")
    done = subprocess.run(
        [sys.executable, "-m", "flumen", "worker"],
        env={**os.environ, **environment_of(settings, log_level="debug", home=str(tmp_path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "flumen: KafkaRefused: Kafka at" in done.stderr
    assert "refuses the user name or the password" in done.stderr
    assert MARKER not in done.stdout + done.stderr
