"""What runs after the demo is what ran before it, however it ends."""

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flumen.cli import background
from flumen.cli.background import background_worker, stop_kept_workers
from flumen.cli.demo import demo
from flumen.cli.interruption import signals_end
from flumen.cli.main import app
from flumen.stack import local
from flumen.stack.errors import ServerFailed
from flumen.stack.layout import Endpoints, Layout, State
from flumen.stack.process import ProcessId, spawn, stop
from flumen.streams.errors import BadSetting, SourceUnreadable

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
HERE = Endpoints("127.0.0.1:1", "127.0.0.1:2", "http://127.0.0.1:3/solr")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder where something runs in the place of Kafka; workers only sleep."""

    def sleeping(_command: Sequence[str], environment: Mapping[str, str], log: Path) -> ProcessId:
        return spawn(SLEEP, environment, log)

    monkeypatch.setattr(background, "spawn", sleeping)
    monkeypatch.setenv("FLUMEN_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    layout = Layout(tmp_path)
    layout.write_state(State({}, {"kafka": spawn(SLEEP, {}, tmp_path / "kafka.log")}))
    layout.write_endpoints(HERE, "local")
    yield tmp_path
    stop(layout.read_state().running().values(), grace_seconds=0)
    stop_kept_workers(tmp_path)


@pytest.mark.parametrize("error", [ServerFailed("solr died"), KeyboardInterrupt(), SystemExit(143)], ids=repr)
def test_a_start_that_fails_leaves_what_ran_before_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(_home: Path) -> None:
        state = Layout(home).read_state()
        started = {"solr": spawn(SLEEP, {}, home / "solr.log")}
        Layout(home).write_state(State({}, {**state.processes, **started}))
        raise error

    monkeypatch.setattr(demo, "start_stack", fail)
    done = CliRunner().invoke(app, ["demo"])
    assert done.exit_code != 0
    assert local.running(home) == {"kafka"}
    assert local.recorded(home) == HERE
    if not isinstance(error, Exception):
        assert "What the demo started is being stopped" in done.output


@pytest.mark.parametrize(
    ("name", "value"), [("KAFKA_SERVERS", "kafka-1:9092"), ("SOLR_URL", "https://solr:8983/solr")]
)
def test_servers_of_somebody_else_s_get_no_images_of_the_demo(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setattr(demo, "start_stack", lambda _home: pytest.fail("it started"))
    monkeypatch.setenv(f"FLUMEN_{name}", value)
    error = CliRunner().invoke(app, ["demo"]).exception
    assert isinstance(error, BadSetting)
    assert f"{name.lower()} leads elsewhere" in str(error)


def test_every_file_that_it_wants_is_looked_for_before_anything_starts(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "start_stack", lambda _home: pytest.fail("it started"))
    monkeypatch.setattr(demo, "_MORE_IMAGES", home / "missing.gz")
    error = CliRunner().invoke(app, ["demo", "--all"]).exception
    assert isinstance(error, SourceUnreadable)
    assert "missing.gz" in str(error)


def test_a_worker_is_recorded_while_it_runs(home: Path) -> None:
    with background_worker(home, False, 1) as worker:
        assert stop_kept_workers(home) == ["worker"], "a command that was killed would leave it unknown"
        assert worker.process.find() is None
    assert not worker.is_left


def test_a_worker_takes_the_place_of_one_that_was_left(home: Path) -> None:
    with background_worker(home, True, 1) as first:
        pass
    with background_worker(home, False, 1) as second:
        assert first.process.find() is None
    assert second.is_left
    assert second.process.find() is not None
    with pytest.raises(ZeroDivisionError), background_worker(home, True, 1) as third:
        raise ZeroDivisionError
    assert third.process.find() is None
    assert stop_kept_workers(home) == []


def test_a_purge_removes_the_workers_logs_and_says_what_it_keeps(home: Path) -> None:
    Layout(home).data("kafka").mkdir()
    (home / "models").mkdir()
    with background_worker(home, True, 1):
        pass
    done = CliRunner().invoke(app, ["down", "--purge"])
    said = " ".join(done.output.split())
    assert "Stopped: worker, kafka; their data and all logs are removed. The models in" in said
    assert not (home / "logs").exists()
    assert (home / "models").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=str)
def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    with signals_end(), pytest.raises(SystemExit, match=str(128 + number)):
        signal.raise_signal(number)
