"""Ports, processes, locks and records of the stack."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from flumen.stack import local, ports
from flumen.stack.errors import ServerFailed, StackError
from flumen.stack.layout import Endpoints, Layout, State
from flumen.stack.process import ProcessId, inherited, spawn, stop
from flumen.stack.server import explain
from flumen.stores.artifacts.filelock import exclusive

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
IGNORES_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('on', flush=True); time.sleep(600)"
)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[ProcessId]:
    process = spawn(SLEEP, {}, tmp_path / "sleeper.log")
    yield process
    stop([process], grace_seconds=0)


def test_ports_are_free_and_differ() -> None:
    chosen = ports.choose(["a", "b", "c"], {}, ())
    assert list(chosen) == ["a", "b", "c"]
    assert len(set(chosen.values())) == 3
    assert all(ports.is_free(port) for port in chosen.values())


def test_a_free_port_is_used_again() -> None:
    first = ports.choose(["a"], {}, ())
    assert ports.choose(["a"], first, ()) == first


def test_an_occupied_port_is_replaced_unless_our_server_has_it(listener: socket.socket) -> None:
    recorded = {"a": listener.getsockname()[1]}
    assert ports.choose(["a"], recorded, ())["a"] != recorded["a"]
    assert ports.choose(["a"], recorded, kept=["a"]) == recorded


def test_who_has_a_port_is_named(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert ports.is_listening(f"127.0.0.1:{port}")
    assert not ports.is_free(port)
    assert f"pid {os.getpid()}" in str(ports.owner(port))


def test_nobody_has_a_free_port() -> None:
    port = ports.choose(["a"], {}, ())["a"]
    assert ports.owner(port) is None
    assert not ports.is_listening(f"127.0.0.1:{port}")


def test_a_process_is_found_until_it_ends(sleeper: ProcessId) -> None:
    found = sleeper.find()
    assert found is not None
    assert os.getsid(sleeper.pid) == sleeper.pid, "it must be out of reach of Ctrl-C here"
    stop([sleeper])
    assert sleeper.find() is None
    assert not psutil.pid_exists(sleeper.pid), "no zombie may be left"


def test_a_reused_pid_is_not_ours(sleeper: ProcessId) -> None:
    other = replace(sleeper, created=sleeper.created - 60)
    assert other.find() is None
    stop([other])
    assert sleeper.find() is not None


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "stubborn.log"
    process = spawn([sys.executable, "-c", IGNORES_SIGTERM], {}, log)
    deadline = time.monotonic() + 60
    while "on" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    stop([process], grace_seconds=0.1)
    assert process.find() is None


def test_output_goes_to_the_log_and_the_last_log_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    for word in ("first", "second"):
        program = "import os, sys; print(os.environ['WORD']); print('err', file=sys.stderr)"
        process = spawn([sys.executable, "-c", program], {"WORD": word}, log)
        psutil.Process(process.pid).wait(60)
    assert sorted(log.read_text().split()) == ["err", "second"]
    assert sorted(log.with_name("a.log.1").read_text().split()) == ["err", "first"]


def test_a_server_gets_what_a_program_needs_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"PATH": "/bin", "LC_ALL": "C", "TMPDIR": "/tmp", "JAVA_TOOL_OPTIONS": "-Xint"}
    secret = {
        "AWS_SECRET_ACCESS_KEY": "1",
        "FLUMEN_SOLR_PASSWORD": "2",
        "HTTPS_PROXY": "http://a:3@b",
        "PGPASSWORD": "4",
        "JAVA_KEYSTORE_PASSWORD": "5",
    }
    for name, value in {**given, **secret}.items():
        monkeypatch.setenv(name, value)
    assert given.items() <= inherited().items()
    assert not secret.keys() & inherited().keys()


def test_a_process_gets_its_environment_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    program = "import os; print(*sorted({'WORD', 'PGPASSWORD'} & os.environ.keys()))"
    process = spawn([sys.executable, "-c", program], {"WORD": "a"}, tmp_path / "a.log")
    psutil.Process(process.pid).wait(60)
    assert (tmp_path / "a.log").read_text().split() == ["WORD"]


def test_what_was_started_beside_others_is_stopped_alone(sleeper: ProcessId, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    beside = spawn(SLEEP, {}, tmp_path / "beside.log")
    layout.write_state(State({"kafka": 1}, {"kafka": sleeper, "solr": beside}))
    layout.write_endpoints(Endpoints("127.0.0.1:1", "127.0.0.1:2", "http://127.0.0.1:3/solr"), "local")
    local.stop_others(tmp_path, local.running(tmp_path) - {"solr"})
    assert (sleeper.find() is None, beside.find() is None) == (False, True)
    assert (local.running(tmp_path), local.recorded(tmp_path) is None) == ({"kafka"}, False)
    local.stop_others(tmp_path, ())
    assert (sleeper.find(), local.running(tmp_path), local.recorded(tmp_path)) == (None, frozenset(), None)


def test_containers_are_not_forgotten_where_nothing_local_runs(tmp_path: Path) -> None:
    record = Endpoints("127.0.0.1:1", "127.0.0.1:2", "http://127.0.0.1:3/solr")
    Layout(tmp_path).write_endpoints(record, "docker")
    local.stop_others(tmp_path, ())
    assert local.recorded(tmp_path) == record


def test_a_purge_takes_no_file_that_is_not_the_servers(tmp_path: Path) -> None:
    """Also where the home is a checkout, whose package `stack` is a folder of that name."""
    layout = Layout(tmp_path)
    layout.write_state(State({"kafka": 1}, {}))
    layout.data("kafka").mkdir()
    own = layout.root / "local.py"
    own.write_text("mine")
    local.down(tmp_path, purge=True)
    assert list(tmp_path.rglob("*")) == [layout.root, own]
    own.unlink()
    local.down(tmp_path, purge=True)
    assert not tmp_path.exists()


def test_a_program_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match=r"cannot run /not/there: .*flumen doctor"):
        spawn(["/not/there"], {}, tmp_path / "a.log")


def test_a_log_is_explained_by_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(
        "".join(f"line {n}\n" for n in range(100)) + "java.io.IOException: No space left on device\n"
    )
    message = explain("kafka died while starting", log)
    assert str(log) in message
    assert "line 81\n" in message
    assert "line 80\n" not in message
    assert "What to do: the disk is full" in message


def test_a_log_that_says_nothing_known_names_the_doctor(tmp_path: Path) -> None:
    assert "`flumen doctor`" in explain("kafka died while starting", tmp_path / "missing.log")


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert layout.read_endpoints() is None
    assert layout.read_state() == State()
    endpoints = Endpoints("127.0.0.1:1", "127.0.0.1:2", "http://127.0.0.1:3/solr")
    state = State({"kafka": 1}, {"kafka": ProcessId(12, 34.5)})
    layout.write_endpoints(endpoints, "local")
    layout.write_state(state)
    assert layout.read_endpoints() == (endpoints, "local")
    assert layout.read_state() == state
    layout.forget_endpoints()
    assert layout.read_endpoints() is None


def test_a_damaged_record_is_a_clear_error(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.root.mkdir()
    (layout.root / "servers.json").write_text("{")
    with pytest.raises(StackError, match=r"servers\.json is damaged"):
        layout.read_state()


def test_a_home_served_through_docker_is_not_started_here(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.write_endpoints(Endpoints("a:1", "b:2", "http://c:3/solr"), "docker")
    layout.require_no_other("docker")
    with pytest.raises(StackError, match=r"already run in containers; `flumen down`"):
        layout.require_no_other("local")


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    inside, overlaps = [], []

    def enter(number: int) -> None:
        for _ in range(50):
            with exclusive(tmp_path / "lock"):
                inside.append(number)
                overlaps.extend(inside[:-1])
                inside.remove(number)
                if number == 0:  # whoever holds it may remove it, as the last thing
                    (tmp_path / "lock").unlink()

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == []


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    holder = (
        "import sys, time; from pathlib import Path; from flumen.stores.artifacts.filelock import exclusive\n"
        "with exclusive(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.kill()
    with exclusive(tmp_path / "lock"):
        pass


def test_a_lock_is_waited_for_no_longer_than_allowed(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / "lock"),
        pytest.raises(TimeoutError, match="lock"),
        exclusive(tmp_path / "lock", 0.1),
    ):
        pytest.fail("two hold it")
    with exclusive(tmp_path / "lock", 0.1):
        pass
