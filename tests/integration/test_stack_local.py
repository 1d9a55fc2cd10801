"""The local stack on real servers: start, find, die, restart with its data, stop, purge."""

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import loopback
import psutil
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from flumen.stack import kudu, local
from flumen.stack.errors import ServerFailed
from flumen.stack.layout import Endpoints, Layout

CONFIGSET = Path(__file__).parent.parent.parent / "stores" / "solr" / "configset"
SERVERS = {"kafka", "kudu-master", "kudu-tserver", "solr"}
TABLE = (
    '{"table_name": "kept", "schema": {"columns": [{"column_name": "id", "column_type": "INT32"}],'
    ' "key_column_names": ["id"]}, "partition": {"hash_partitions": [{"columns": ["id"], "num_buckets": 2}]}}'
)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    local.down(tmp_path / "home", purge=True)


def pids(home: Path) -> dict[str, int]:
    return {name: process.pid for name, process in Layout(home).read_state().processes.items()}


def serving(folder: Path) -> list[psutil.Process]:
    """Every process on this machine whose command line names the folder."""
    every = psutil.process_iter(["cmdline"])
    return [one for one in every if any(str(folder) in argument for argument in one.info["cmdline"] or ())]


def write_everywhere(endpoints: Endpoints) -> None:
    admin = AdminClient({"bootstrap.servers": endpoints.kafka})
    admin.create_topics([NewTopic("kept", 1)])["kept"].result(60)
    producer = Producer({"bootstrap.servers": endpoints.kafka})
    producer.produce("kept", b"kept")
    assert producer.flush(60) == 0
    assert kudu.ask("table", "create", endpoints.kudu_masters, TABLE) is not None
    created = {"action": "CREATE", "name": "kept", "configSet": "flumen"}
    assert loopback.get(f"{endpoints.solr_url}/admin/cores", params=created, timeout=60).ok
    added = loopback.post(f"{endpoints.solr_url}/kept/update?commit=true", json=[{"id": "kept"}], timeout=60)
    assert added.ok, added.text


def check_everywhere(endpoints: Endpoints) -> None:
    consumer = Consumer(
        {"bootstrap.servers": endpoints.kafka, "group.id": str(uuid.uuid4()), "auto.offset.reset": "earliest"}
    )
    try:
        consumer.subscribe(["kept"])
        message = consumer.poll(60)
        assert message is not None
        assert message.value() == b"kept"
    finally:
        consumer.close()
    assert "kept" in (kudu.ask("table", "list", endpoints.kudu_masters) or "").split()
    assert kudu.ask("table", "scan", endpoints.kudu_masters, "kept") is not None
    found = loopback.get(f"{endpoints.solr_url}/kept/select", params={"q": "id:kept"}, timeout=60).json()
    assert found["response"]["numFound"] == 1


def test_a_life(home: Path) -> None:
    """One home through everything that happens to it, in turn, since each start takes seconds."""
    first = local.up(home, CONFIGSET)
    assert local.recorded(home) == first
    assert {one.name: one.state for one in local.status(home)} == dict.fromkeys(SERVERS, "ready")
    assert set(pids(home)) == SERVERS
    write_everywhere(first)

    # A second `up` finds the running one.
    before = pids(home)
    assert local.up(home, CONFIGSET) == first
    assert pids(home) == before

    # One server dies: that one alone is started again, at the same address and with its data.
    os.kill(before["kudu-tserver"], signal.SIGKILL)
    psutil.Process(before["kudu-tserver"]).wait(60)
    assert {one.name for one in local.status(home) if one.state == "stopped"} == {"kudu-tserver"}
    assert local.up(home, CONFIGSET) == first
    assert {name for name, pid in pids(home).items() if pid != before[name]} == {"kudu-tserver"}
    check_everywhere(first)

    # All die at once, with no chance to tidy up.
    for pid in pids(home).values():
        os.kill(pid, signal.SIGKILL)
        psutil.Process(pid).wait(60)
    assert local.up(home, CONFIGSET) == first
    check_everywhere(first)

    # An ordinary stop keeps the data and leaves no process.
    assert set(local.down(home)) == SERVERS
    assert serving(home) == []
    assert local.recorded(home) is None
    assert {one.state for one in local.status(home)} == {"stopped"}
    assert local.down(home) == []
    assert local.up(home, CONFIGSET) == first
    check_everywhere(first)

    # Purged, there is nothing left.
    local.down(home, purge=True)
    assert serving(home) == []
    assert not home.exists()


def test_a_server_that_dies_at_start_shows_its_log_and_the_others_stay(home: Path) -> None:
    broken = Layout(home).data("kafka") / "data" / "meta.properties"
    broken.parent.mkdir(parents=True)
    broken.write_text("version=not a number\n")
    with pytest.raises(ServerFailed) as caught:
        local.up(home, CONFIGSET)
    message = str(caught.value)
    log = Layout(home).log("kafka")
    assert message.startswith(f"kafka died while starting. The last lines of its log, {log}:\n")
    assert "not a number" in message
    assert "What to do: " in message
    assert len(message.splitlines()) <= 23
    assert message.splitlines()[-1].startswith("Running, and kept so: kudu-master, kudu-tserver, solr.")
    assert {one.name: one.state for one in local.status(home)} == dict.fromkeys(SERVERS, "ready") | {
        "kafka": "stopped"
    }
    before = pids(home)
    broken.unlink()
    assert local.up(home, CONFIGSET) == local.recorded(home)
    assert {name for name, pid in pids(home).items() if pid != before[name]} == {"kafka"}


def test_ctrl_c_reaches_up_and_not_the_servers(home: Path, tmp_path: Path) -> None:
    """Two `up` at once start one stack; a Ctrl-C in their terminal afterwards leaves it alone."""
    program = (
        "import sys; from pathlib import Path; from flumen.stack import local; "
        "print(local.up(*map(Path, sys.argv[1:])))"
    )
    command = [sys.executable, "-c", program, str(home), str(CONFIGSET)]
    terminal = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) for _ in range(2)
    ]
    printed = [process.communicate(timeout=200)[0] for process in terminal]
    assert [process.returncode for process in terminal] == [0, 0]
    assert printed[0] == printed[1] == f"{local.recorded(home)}\n"
    assert local.is_running(home)
    sessions = {os.getsid(pid) for pid in pids(home).values()}
    assert sessions == set(pids(home).values()), "each server leads a session of its own"


def test_an_interrupted_up_leaves_no_process(home: Path) -> None:
    program = (  # where the tests run in the background, their children are born deaf to Ctrl-C
        "import signal, sys; from pathlib import Path; from flumen.stack import local;"
        "signal.signal(signal.SIGINT, signal.default_int_handler); local.up(*map(Path, sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, str(home), str(CONFIGSET)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not any("tserver" in " ".join(server.cmdline()) for server in serving(home / "stack" / "kudu")):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=100)
    assert "KeyboardInterrupt" in error
    assert serving(home / "stack") == []
    assert not local.is_running(home)


def test_a_port_that_was_taken_meanwhile_is_replaced_everywhere(home: Path) -> None:
    """The tablet server is told the master's address when it starts: it is restarted when the master moves."""
    first = local.up(home, CONFIGSET)
    assert kudu.ask("table", "create", first.kudu_masters, TABLE) is not None
    before = pids(home)
    os.kill(before["kudu-master"], signal.SIGKILL)
    psutil.Process(before["kudu-master"]).wait(60)
    host, _, port = first.kudu_masters.partition(":")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((host, int(port)))
        other.listen()
        second = local.up(home, CONFIGSET)
    assert second.kudu_masters != first.kudu_masters
    assert (second.kafka, second.solr_url) == (first.kafka, first.solr_url)
    assert {name for name, pid in pids(home).items() if pid != before[name]} == {
        "kudu-master",
        "kudu-tserver",
    }
    assert kudu.ask("table", "scan", second.kudu_masters, "kept") is not None
