"""No secret is shown: not by a command, a log, an error, its traceback, or a value's repr."""

import dataclasses
import io
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import typer
from confluent_kafka import KafkaException, Producer
from PIL import Image
from recorder import Recorder, serving
from typer.testing import CliRunner

from cli.background import environment_of
from cli.main import app
from interceptor import Limits, Preprocess
from models.urls import without_passwords
from streams.decoder import GuardedDecoder
from streams.errors import BadSetting
from streams.kafka_options import KafkaOptions
from streams.reader import ReaderOptions
from streams.secrets import FILE_SUFFIX, is_secret_property, revealed, shown
from streams.settings import Settings, load_settings
from streams.watch import Target
from streams.worker import run_worker
from streams.wrong_settings import is_secret

MARKER = "hunter2-is-on-no-screen"
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
KNOWN_TO_LIBRDKAFKA = ("sasl.password", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password")
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
SECRETS = [name for name, field in Settings.model_fields.items() if is_secret(field)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def server() -> Iterator[Recorder]:
    with serving() as server:
        server.status = 401
        yield server


def value_of(name: str) -> Any:
    """A value with the marker for a secret setting, by its type."""
    annotation = str(Settings.model_fields[name].annotation)
    if "dict" in annotation:
        return dict.fromkeys(KNOWN_TO_LIBRDKAFKA, MARKER) | {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "me",
        }
    return f"nope://me:{MARKER}@host/path?token={MARKER}" if "Url" in annotation else MARKER


def all_secrets() -> dict[str, Any]:
    return {name: value_of(name) for name in SECRETS}


def test_the_secrets_are_found_by_their_types() -> None:
    assert SECRETS == ["kafka_properties", "models_root", "solr_password"]
    for name in SECRETS:  # each may lie in a file; of Kafka's properties each one by itself
        assert name == "kafka_properties" or name + FILE_SUFFIX in Settings.model_fields


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
        ReaderOptions(topic="images", consumer=configs[0]),
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


def test_secrets_come_from_files(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("solr", "models", "kafka")}
    for name, file in files.items():
        file.write_text(f"{MARKER}-{name}\n")
    settings = load_settings(
        solr_password_file=files["solr"],
        models_root_file=files["models"],
        kafka_properties={"sasl.password_file": str(files["kafka"])},
    )
    assert settings.solr_options().password == f"{MARKER}-solr"
    assert settings.model_repository == f"{MARKER}-models"
    assert settings.names_repository
    assert settings.admin_config()["sasl.password"] == f"{MARKER}-kafka"
    assert "sasl.password_file" not in settings.admin_config()
    assert (
        MARKER not in f"{settings!r} {environment_of(settings)}"
    )  # the next process reads the files as well
    files["solr"].write_bytes(f"{MARKER}-new\r\n".encode())
    assert settings.solr_options().password == f"{MARKER}-new"  # a password may change


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\n", "is no text"),
    ],
)
@pytest.mark.parametrize("name", ["solr_password_file", "models_root_file", "sasl.password_file"])
def test_a_file_that_cannot_be_read_is_named(
    content: bytes | None, said: str, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    given = {"kafka_properties": {name: str(file)}} if "." in name else {name: file}
    with pytest.raises(BadSetting, match=said) as caught:
        load_settings(**given)
    assert str(file) in str(caught.value)
    assert name in str(caught.value)


def test_a_secret_and_its_file_are_not_both_given(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(MARKER)
    file = str(tmp_path / "secret")
    with pytest.raises(BadSetting, match="solr_password and solr_password_file are both set"):
        load_settings(solr_password="x", solr_password_file=file)
    with pytest.raises(BadSetting, match=r"either sasl\.password_file or sasl\.password, and both"):
        load_settings(kafka_properties={"sasl.password": "x", "sasl.password_file": file})


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


def test_the_process_that_decodes_images_knows_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUMEN_SOLR_PASSWORD", MARKER)
    content = io.BytesIO()
    Image.effect_noise((400, 300), 100).save(content, "PNG")
    with closing(GuardedDecoder()) as decoder:
        decoder(content.getvalue(), Limits(), Preprocess(width=28, height=28, channels=1))
        assert decoder.helper_pid is not None
        environment = psutil.Process(decoder.helper_pid).environ()
    assert [name for name in environment if name.startswith("FLUMEN_")] == []


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


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """Every command that there is, and how many arguments it needs."""
    if hasattr(command, "commands"):
        for name, below in command.commands.items():
            yield from leaves(below, (*path, name))
    else:
        yield path, sum(param.required for param in command.params)


COMMANDS = list(leaves(typer.main.get_command(app)))
MORE = {("produce",): ["."], ("dead", "replay"): ["0/1"], ("dead", "park"): ["0/1"]}


@pytest.fixture
def nothing_answers(server: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that are not there, or refuse; the marker in every secret, in the proxy's and the mirror's too."""
    (tmp_path / "7.png").write_bytes(b"no image")
    here = f"127.0.0.1:{server.server_port}"
    for name, value in all_secrets().items():
        monkeypatch.setenv(f"FLUMEN_{name.upper()}", value if isinstance(value, str) else json.dumps(value))
    more = {
        "FLUMEN_SOLR_USERNAME": "me",
        "FLUMEN_SOLR_URL": "http://solr.example/solr",
        "FLUMEN_KAFKA_SERVERS": "127.0.0.1:1",
        "FLUMEN_KUDU_MASTERS": "127.0.0.1:1",
        "FLUMEN_HOME": "/proc/flumen",
        "FLUMEN_CACHE": str(tmp_path / "cache"),
        "FLUMEN_MAVEN_REPOSITORY": f"http://me:{MARKER}@{here}",
        "FLUMEN_LOG_LEVEL": "debug",
        "HTTP_PROXY": f"http://me:{MARKER}@{here}",
        "COLUMNS": "500",
    }
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    for name in ("http_proxy", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("nothing_answers")
def test_no_command_shows_a_secret(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Every command is run, with all secrets set, and fails or ends; nothing that it says holds one."""
    caplog.set_level(logging.DEBUG)
    handlers, level = logging.root.handlers[:], logging.root.level
    said = {}
    for path, arguments in COMMANDS:
        done = CliRunner().invoke(app, [*path, *MORE.get(path, ["x"] * arguments)])
        error = done.exception
        said[path] = done.output + ("".join(traceback.format_exception(error)) if error else "")
        logging.root.handlers, logging.root.level = handlers[:], level
    try:
        run_worker(load_settings())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is to be read
        said["run_worker",] = "".join(traceback.format_exception(error))
    streams = capfd.readouterr()
    said["the streams",], said["the logs",] = streams.out + streams.err, caplog.text
    assert [path for path, text in said.items() if MARKER in text] == []
    assert "***" in said["settings",]
    assert all(any(path[0] == name for path, _ in COMMANDS) for name in ("up", "worker", "search", "models"))
    assert "solr.example" in said["search",]
    assert "kafka" in said["produce",].lower()


def test_options_of_the_stores_are_told_apart_from_their_passwords() -> None:
    """Whoever adds a field for a secret to these has to keep it out of their reprs."""
    for kind in (KafkaOptions, type(load_settings().solr_options()), type(load_settings().kudu_options())):
        for field in dataclasses.fields(kind):
            assert not field.repr or "password" not in field.name
