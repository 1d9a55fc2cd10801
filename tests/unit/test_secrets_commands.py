"""No command shows a secret, whatever goes wrong with it."""

import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from marked import MARKER, all_secrets
from recorder import Recorder, serving
from typer.testing import CliRunner

from flumen.cli.main import app
from flumen.streams.live.worker import run_worker
from flumen.streams.settings import load_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def server() -> Iterator[Recorder]:
    with serving() as server:
        server.status = 401
        yield server


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
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    wait_until: Callable[..., Any],
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
    wait_until(
        lambda: all(thread.name != "leave" for thread in threading.enumerate()),
        "workers that could not start to leave this process alone",
    )
    streams = capfd.readouterr()
    said["the streams",], said["the logs",] = streams.out + streams.err, caplog.text
    assert [path for path, text in said.items() if MARKER in text] == []
    assert "***" in said["settings",]
    assert all(any(path[0] == name for path, _ in COMMANDS) for name in ("up", "worker", "search", "models"))
    assert "solr.example" in said["search",]
    assert "kafka" in said["produce",].lower()
