"""No secret is shown: not by a command, a log, an error, its traceback, or a value's repr."""

import dataclasses
import io
import logging
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import KafkaException, Producer
from marked import MARKER, SECRETS, all_secrets, value_of
from PIL import Image

from flumen.cli.background import environment_of
from flumen.interceptor import Limits, Preprocess
from flumen.models.errors import NotOnnx
from flumen.models.limits import VerifyLimits
from flumen.models.processes.decoder import GuardedDecoder
from flumen.models.processes.verifier import Verifier
from flumen.models.urls import without_passwords
from flumen.streams.errors import BadSetting
from flumen.streams.kafka.options import KafkaOptions
from flumen.streams.publishing.watching import Target
from flumen.streams.secrets import FILE_SUFFIX, is_secret_property, revealed, shown
from flumen.streams.settings import Settings, load_settings

PROPERTIES = (
    "sasl.password",
    "sasl.pasword",  # misspelt, and nevertheless a password
    "sasl.jaas.config",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "ssl.truststore.password",
    "ssl.certificate.pem",
)
NO_SECRETS = (
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "ssl.ca.location",
    "ssl.key.location",
    "ssl.keystore.location",
    "ssl.endpoint.identification.algorithm",
    "enable.ssl.certificate.verification",
    "enable.sasl.oauthbearer.unsecure.jwt",
    "client.id",
    "session.timeout.ms",
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_secrets_are_found_by_their_types() -> None:
    assert SECRETS == ["kafka_properties", "models_root", "stores", "solr_password"]
    for (
        name
    ) in SECRETS:  # each may lie in a file; of Kafka's properties and of stores' options each by itself
        assert name in ("kafka_properties", "stores") or name + FILE_SUFFIX in Settings.model_fields


def test_properties_of_kafka_are_secret_unless_they_are_known_to_be_none() -> None:
    assert all(is_secret_property(name) for name in PROPERTIES)
    assert not any(is_secret_property(name) for name in NO_SECRETS)


def test_a_settings_object_shows_no_secret() -> None:
    settings = load_settings(**all_secrets())
    configs = [
        settings.consumer_config(),
        settings.lone_consumer_config(),
        settings.producer_config(),
        settings.admin_config(),
    ]
    told: list[object] = [
        settings,
        settings.model_dump(),
        settings.model_dump_json(),
        configs,
        settings.kafka_options(),
        settings.solr_options(),
        Target("images", configs[2]),
        {name: shown(getattr(settings, name)) for name in Settings.model_fields},
    ]
    for one in told:
        assert MARKER not in f"{one} {one!r}"
    assert all(config["sasl.password"] == MARKER for config in configs)
    assert settings.solr_options().password == MARKER
    assert MARKER in settings.model_repository


def test_another_process_gets_the_secrets_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(**all_secrets())
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    again = load_settings()
    assert [revealed(getattr(again, name)) for name in SECRETS] == [
        revealed(getattr(settings, name)) for name in SECRETS
    ]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "wrong",
    [
        lambda value: [value],
        lambda value: {"x": [value]},
        lambda value: 7.5 if value == MARKER else [[value]],
        lambda value: {"sasl.password": [value], "no": {"a": value}},
    ],
    ids=["list", "table", "nested", "entries"],
)
def test_a_wrong_value_is_not_repeated(name: str, wrong: Callable[[Any], Any]) -> None:
    with pytest.raises(BadSetting) as caught:
        load_settings(**{name: wrong(MARKER)})
    assert MARKER not in "".join(traceback.format_exception(caught.value))
    assert f"the setting {name} " in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        f'solr_password = ["{MARKER}"]',
        f'solr_pasword = "{MARKER}"',
        f'solr_url = "http://me:{MARKER}@host/solr"',
        f'solr_url = "me:{MARKER}@host/solr"',
        f'kafka_properties = "sasl.password={MARKER}"',
        f'control_private_key_file = """-----BEGIN PRIVATE KEY-----\n{MARKER}"""',
        f'control_public_keys = ["""-----BEGIN PRIVATE KEY-----\n{MARKER}"""]',
        f'solr_password_file = """first\n{MARKER}"""',
        f'[kafka_properties]\n"sasl.password_file" = """first\n{MARKER}"""',
        f'solr_password = "{MARKER}',
    ],
)
def test_what_is_wrong_in_the_file_is_not_repeated(content: str) -> None:
    Path("flumen.toml").write_text(content)
    with pytest.raises(BadSetting) as caught:
        load_settings()
    assert MARKER not in str(caught.value)


def test_a_table_that_is_no_json_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUMEN_KAFKA_PROPERTIES", f"sasl.password={MARKER}")
    with pytest.raises(BadSetting, match=r"kafka_properties is \*\*\*; allowed: texts by name") as caught:
        load_settings()
    assert MARKER not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://key:hunter2@bucket/models", "s3://key:***@bucket/models"),
        ("ftp://me:hunt/er@2@host/models", "ftp://me:***@host/models"),
        ("'http://a:b@c' and s3://x:y@z.", "'http://a:***@c' and s3://x:***@z."),
        ("https://h/x?sig=hunter2&part=1", "https://h/x?sig=***&part=1"),
        ("https://h/x?part=1&access_token=hunter2", "https://h/x?part=1&access_token=***"),
        ("http://host:8983/a@b", "http://host:8983/a@b"),
        ("http://[::1]:8983/solr", "http://[::1]:8983/solr"),
        ("memory://models", "memory://models"),
        ("me:hunter2@host/solr", "me:***@host/solr"),
        ("git@host:models", "git@host:models"),
        ("127.0.0.1:9092", "127.0.0.1:9092"),
        (".flumen/models", ".flumen/models"),
    ],
)
def test_a_url_is_shown_without_its_password(text: str, expected: str) -> None:
    assert without_passwords(text) == expected


PASSWORDS_OF_OTHERS = (
    "AWS_SECRET_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "HTTPS_PROXY",
    "KRB5CCNAME",
    "PGPASSWORD",
    "PYTHON_KEYRING_PASSWORD",
)


@pytest.fixture
def _passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLUMEN_SOLR_PASSWORD", "FLUMEN_KAFKA_PROPERTIES", *PASSWORDS_OF_OTHERS):
        monkeypatch.setenv(name, MARKER)
    monkeypatch.setenv("LC_TIME", "C")


def assert_needs_only(environment: Mapping[str, str]) -> None:
    """What is there beside what a test run has set: nothing that was not asked for by name."""
    assert MARKER not in "".join(environment.values())
    assert environment["LC_TIME"] == "C"
    assert not environment.keys() & {"FLUMEN_SOLR_PASSWORD", *PASSWORDS_OF_OTHERS, "PYTEST_CURRENT_TEST"}


@pytest.mark.usefixtures("_passwords")
def test_the_process_that_decodes_images_knows_no_password() -> None:
    content = io.BytesIO()
    Image.effect_noise((400, 300), 100).save(content, "PNG")
    with closing(GuardedDecoder()) as decoder:
        decoder(content.getvalue(), Limits(), Preprocess(width=28, height=28, channels=1))
        assert decoder.helper_pid is not None
        assert_needs_only(psutil.Process(decoder.helper_pid).environ())


@pytest.mark.usefixtures("_passwords")
def test_the_process_that_verifies_models_knows_no_password() -> None:
    with closing(Verifier()) as verifier:
        with pytest.raises(NotOnnx):
            verifier.read_signature(b"no model", "a file", VerifyLimits())
        assert verifier.helper_pid is not None
        assert_needs_only(psutil.Process(verifier.helper_pid).environ())


def test_librdkafka_says_no_secret_either() -> None:
    """Not in what it logs of its configuration, nor in what it refuses."""
    config: dict[str, Any] = dict(
        load_settings(kafka_properties=value_of("kafka_properties")).producer_config()
    )
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = logging.Logger("librdkafka", logging.DEBUG)
    logger.addHandler(Kept())
    for left_out in ((), ("ssl.key.pem", "ssl.keystore.password")):
        some = {name: value for name, value in config.items() if name not in left_out}
        try:
            producer = Producer({**some, "debug": "all"}, logger=logger)
        except KafkaException as error:
            lines.append(f"{error} {error!r}")
            continue
        producer.poll(0.1)
    assert any("sasl.password" in line for line in lines)
    assert MARKER not in "\n".join(lines)


def test_options_of_the_stores_are_told_apart_from_their_passwords() -> None:
    """Whoever adds a field for a secret to these has to keep it out of their reprs."""
    for kind in (KafkaOptions, type(load_settings().solr_options()), type(load_settings().kudu_options())):
        for field in dataclasses.fields(kind):
            assert not field.repr or "password" not in field.name
