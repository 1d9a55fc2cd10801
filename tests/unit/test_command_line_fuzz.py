"""No command ever meets an error that is not ours, whatever its arguments and the settings are.

Every command but `up`, `demo`, `worker` and `train` is run in this process: these four would start servers, classify or
learn, so only their arguments are read. `produce --watch` is told to stop before its first look. No server answers, and
nobody waits long for one.
"""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flumen.cli import commands, main, produce
from flumen.cli.commands import ENTRIES, load
from flumen.cli.failures import is_ours
from flumen.stores.artifacts import download
from flumen.streams.kafka import connection as kafka_connection
from flumen.streams.kafka.connection import Connection
from flumen.streams.publishing import publisher
from flumen.streams.settings import Settings

IN_CI = "CI" in os.environ
"""There the same calls are tried each time: a new finding is for who searches, not for who happens to land a change."""

NOT_RUN = {"up", "demo", "worker", "train"}
EXIT_CODES = {0, 1, 2, 3}

Words = tuple[str, ...]
Environment = dict[str, str]


def leaves(command: Any, path: Words) -> Iterator[tuple[Words, Any]]:
    """Every command below one, with the words that call it."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, sub in below.items():
        yield from leaves(sub, (*path, name))


COMMANDS = dict(leaf for entry in ENTRIES for leaf in leaves(load(entry), (entry.name,)))

RUN = sorted(path for path in COMMANDS if path[0] not in NOT_RUN)
READ = sorted(path for path in COMMANDS if path[0] in NOT_RUN)

# No stroke, no point and no tilde: nothing random names a file outside the test's own folder.
TEXTS = st.one_of(
    st.text(st.characters(exclude_characters="/.~\0"), max_size=20),
    st.text(st.characters(categories=["Cc", "Cs", "Co"], exclude_characters="\0"), min_size=1, max_size=5),
    st.sampled_from(
        ["", " ", "-", "--", "a" * 100_000, "\x1b[31mred", "\udcff", "é\u202e", "{}", "[]", "%s", "[/]"]
    ),
)
NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["0", "-1", "1", "1e400", "-0.0", "9" * 500, "0x10", "1_000", "nan", "-inf", "\u0663", "1" * 5000]
    ),
)
PATHS = st.sampled_from(
    [
        "file.txt", "folder", "gone", "empty", "link", "broken.zip", "broken.tar", "broken.gz", "broken.onnx", "7.png",
        "file.txt/below", "\udcff.png", "a" * 300, "x" * 5000, "file://folder", "memory://x", "s3://b/k", "nope://x",
        "http://[::1", "/dev/null", "/proc/flumen", "", ".", "-",
    ]
)  # fmt: skip
NAMES = st.sampled_from(
    [
        "images-0-5", "images-0-", "-1--1", "images-99999999999999999999-0", "0/1", "0/-1", "1/99999999999999999999",
        "a@b", "mnist@1", "mnist@0", "mnist@99999999999999999999", "@", "@@", "mnist@", "mnist@champion", "../../x@1",
        "mnist@\u0661", "shapes",
    ]
)  # fmt: skip
QUESTIONS = st.sampled_from(
    [
        "SELECT * FROM images", "SELECT", "SELECT 1; SELECT 2", "DROP TABLE images", "'",
        "SELECT 'infinity'::timestamp", "SELECT 2::hugeint ^ 100", "SHOW TABLES",
        "(" * 2000, "label:7 AND", "*:*", "no_field:1", "[* TO", "{!func}x",
        "52.5,13.4,10km", "1,2", "nan,nan,nankm", "91,0,1km", "0,0,-1m", "0,0,1e400km", "1,2,3,4", "sharpness desc",
        "label", "2026-01-01", "2026-13-01", "1h", "-1h", "9" * 30 + "d", "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59", "yesterday", "1e309s", "NaNd", "0000",
    ]
)  # fmt: skip


def can_be_given(text: str) -> bool:
    """Say whether a system hands a text to a program at all."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


VALUES = st.one_of(TEXTS, NUMBERS, PATHS, NAMES, QUESTIONS).filter(can_be_given)


@st.composite
def calls(draw: st.DrawFn, paths: list[Words]) -> Words:
    """One of these commands with arguments that it may, or may not, take."""
    path = draw(st.sampled_from(paths))
    words = []
    for parameter in COMMANDS[path].params:
        options = [name for name in parameter.opts if name.startswith("-")]
        if not options:
            most = 3 if parameter.nargs == -1 else 1
            words += draw(st.lists(VALUES, min_size=int(parameter.required), max_size=most))
        elif options[0] != "--help" and draw(st.integers(0, 3)) == 0:
            words.append(options[0])
            if not parameter.is_flag:
                words.append(draw(VALUES))
    if draw(st.integers(0, 9)) == 0:
        words.append(draw(st.sampled_from(["--nonsense", "--json=1", "-x", "more", "--", "--help"])))
    return (*path, *words)


WRONG = st.one_of(
    VALUES,
    st.sampled_from(
        [
            "127.0.0.1:1", "127.0.0.1:7051/", ".kudu:7051", "a:b:c", "[::1", "::1", ",", "SSL://[::1]:1",
            "k\u00fc\u0301:1", "http://[::1/solr", "http://127.0.0.1:1", "https://127.0.0.1:1/solr",
            "http://me:pw@127.0.0.1:1/s?x#y",
            "http://", "http://a:99999/", "http://\udcff/", '{"a": 1}', '{"a": null}', '{"a": {"b": []}}', "[1, null]",
            '{"security.protocol": "nope"}', '{"group.protocol": "consumer"}', '{"nope.nope": "1"}', "null", "true",
            '{"ssl.ca.location": "gone"}', '{"sasl.password_file": "folder"}', '{"\\u0000": "\\u0000"}', '["\\ud800"]',
            '{"security.protocol": "ssl", "ssl.key.password": "x", "ssl.certificate.pem": "x"}', "[" * 5000,
            '["classify", "classify"]', '["nope"]', '["PNG"]', '{"statistics.interval.ms": 1e400}', "9" * 5000,
        ]
    ),
)  # fmt: skip
# What makes the commands wait for a server, when it is right, is not left to chance.
TIMEOUTS = {"kudu_timeout_s", "solr_timeout_s"}
OFTEN = ["home", "cache", "maven_repository", "kafka_properties", "models_root"]
SETTINGS = st.dictionaries(
    st.sampled_from(OFTEN) | st.sampled_from(sorted(set(Settings.model_fields) - TIMEOUTS)),
    WRONG.filter(can_be_given),
    max_size=3,
)


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """A folder with files of all sorts, and servers that nobody reaches."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in [name for name in os.environ if name.startswith("FLUMEN_")]:
            patch.delenv(name)
        for name in ("broken.zip", "broken.tar", "broken.gz", "broken.onnx", "7.png", "file.txt"):
            Path(name).write_bytes(b"PK\x03\x04 no archive")
        Path("\udcff.png").write_bytes(b"no image")
        Path("folder").mkdir()
        Path("empty").write_bytes(b"")
        Path("link").symlink_to("link")
        yield {
            "FLUMEN_HOME": str(folder / "home"),
            "FLUMEN_CACHE": str(folder / "cache"),
            "FLUMEN_MAVEN_REPOSITORY": "http://127.0.0.1:1/maven",
            "FLUMEN_KAFKA_SERVERS": "127.0.0.1:1",
            "FLUMEN_KUDU_MASTERS": "127.0.0.1:1",
            "FLUMEN_SOLR_URL": "http://127.0.0.1:1/solr",
            "FLUMEN_KUDU_TIMEOUT_S": "0.2",
            "FLUMEN_SOLR_TIMEOUT_S": "0.2",
        }


def stopped() -> Event:
    """An event that has come already."""
    event = Event()
    event.set()
    return event


@pytest.fixture(scope="module", autouse=True)
def short_timeouts() -> Iterator[None]:
    """Nobody waits for servers that are not there."""
    with pytest.MonkeyPatch.context() as patch:
        ask = Connection.ask
        patch.setattr(Connection, "ask", lambda self, client, call, _: ask(self, client, call, 0.02))
        patch.setattr(kafka_connection, "_FIRST_LOOKS_S", ())
        patch.setattr(kafka_connection, "_LOOK_S", 0.1)
        patch.setattr(publisher, "_CONNECT_S", 0.05)
        patch.setattr(download.fetch, "__defaults__", (1,))
        patch.setattr(produce, "Event", stopped)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        yield
        for number, handler in handlers.items():
            signal.signal(number, handler)


def run(environment: Environment, words: Words) -> Any:
    """Run a command as `flumen` does, up to the last net, with what it writes kept."""

    class Whole(click.Command):
        def main(self, args: Any = None, **_: Any) -> Any:
            main._write_what_can_be_written()
            return main.app(args=list(args), prog_name="flumen")

    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        return CliRunner().invoke(Whole("flumen"), list(words), env=environment)
    finally:
        logging.root.handlers, logging.root.level = handlers, level


def check(surroundings: Environment, words: Words, more: Environment) -> None:
    """Fail where a command ends as none should."""
    environment = surroundings | {f"FLUMEN_{name.upper()}": value for name, value in more.items()}
    done = run(environment, words)
    error = done.exception
    if error is None or isinstance(error, SystemExit):
        assert done.exit_code in EXIT_CODES
    elif not (isinstance(error, Exception) and is_ours(error)):
        raise AssertionError(f"flumen {words} with {more} meets {error!r}") from error


@example(words=("models", "register", "a" * 300), more={})
@example(words=("models", "register", "x.onnx", "--manifest", "a" * 300), more={})
@example(words=("search", "\udc80", "--json"), more={})
@example(words=("produce", "--watch", "a" * 300), more={})
@example(words=("status",), more={"home": "a" * 300})
@example(words=("down",), more={"home": "a" * 300})
@example(words=("down",), more={"home": "file.txt"})
@example(words=("doctor",), more={"home": "a" * 300})
@example(words=("images", "show", "images-0-5"), more={"cache": "a" * 300})
@example(words=("images", "show", "images-0-5"), more={"cache": "file.txt"})
@example(words=("sql", "SELECT 1"), more={"maven_repository": "http://[::1"})
@example(words=("keys", "new", "--out", "a" * 300), more={})
@example(words=("produce", "--watch", "folder", "--settle", "nan"), more={})
@example(words=("produce", "--watch", "\udcff.png"), more={})
@given(words=calls(RUN), more=st.one_of(st.just({}), SETTINGS))
@settings(deadline=None, max_examples=100, derandomize=IN_CI, suppress_health_check=list(HealthCheck))
def test_no_command_meets_an_error_that_is_not_ours(
    surroundings: Environment, words: Words, more: Environment
) -> None:
    check(surroundings, words, more)


@example(words=("up", "--timeout", "nan"))
@example(words=("train", "--rate", "nan"))
@example(words=("worker", "--http-port", "9" * 5000))
@given(words=calls(READ))
@settings(deadline=None, max_examples=100, derandomize=IN_CI, suppress_health_check=list(HealthCheck))
def test_no_argument_of_what_is_not_run_meets_an_error_that_is_not_ours(
    surroundings: Environment, words: Words
) -> None:
    def only_read(entry: commands.Entry) -> Any:
        command = load(entry)
        command.callback = lambda **_: None
        return command

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "load", only_read)
        check(surroundings, words, {})


@example(more={"kafka_properties": "[" * 5000})
@example(more={"interceptors": "[" * 5000})
@example(more={"max_batch_time_ms": "a" * 100_000})
@given(more=SETTINGS)
@settings(deadline=None, max_examples=100, derandomize=IN_CI, suppress_health_check=list(HealthCheck))
def test_no_setting_meets_an_error_that_is_not_ours(surroundings: Environment, more: Environment) -> None:
    check(surroundings, ("settings",), more)
