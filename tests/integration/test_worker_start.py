"""The start of a worker: what is down is waited for, what is wrong ends it, and a stop is heard at any moment."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import psutil
import pytest
import requests
from gate import Gate

from flumen.streams.control.records import WorkerState, parse_status
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.live.worker import MODEL_REPOSITORY
from flumen.streams.settings import Settings

WAITING = "server does not answer; waiting"


@pytest.fixture
def gates(settings: Settings) -> Iterator[dict[str, Gate]]:
    solr = settings.solr_url.removeprefix("http://").removesuffix("/solr")
    handler = partial(Quiet, directory=settings.model_repository)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as models:
        Thread(target=models.serve_forever, daemon=True).start()
        gates = {
            "kafka": Gate(settings.kafka_servers),
            MODEL_REPOSITORY: Gate("{}:{}".format(*models.server_address[:2])),
            "kudu": Gate(settings.kudu_masters),
            "solr": Gate(solr),
        }
        yield gates
        for gate in gates.values():
            gate.close()
        models.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    """The model repository, read over HTTP."""

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


def behind(gates: dict[str, Gate]) -> dict[str, str]:
    """Settings with which every server is reached through its gate."""
    return {
        "kafka_servers": gates["kafka"].address,
        "models_root": f"http://{gates[MODEL_REPOSITORY].address}",
        "kudu_masters": gates["kudu"].address,
        "solr_url": f"http://{gates['solr'].address}/solr",
    }


def test_servers_that_are_down_are_waited_for_at_the_same_time(
    settings: Settings,
    gates: dict[str, Gate],
    port: int,
    start_worker: Callable[..., Any],
    wait_until: Callable[..., Any],
    observer: Any,
) -> None:
    """And the time that takes, here more than twice `stalled_after_s`, is no stall."""
    worker = start_worker(**behind(gates), http_port=port, stalled_after_s=0.5)

    def ask(path: str) -> tuple[int, str]:
        answer = requests.get(f"http://127.0.0.1:{port}/{path}", timeout=60)
        return answer.status_code, answer.text.strip()

    def waits_for(*names: str) -> bool:
        status, text = ask("ready")
        waited = [name for name in gates if f"waiting for {name} for" in text]
        return status == 503 and waited == list(names)

    worker.wait_for_line(WAITING)
    wait_until(lambda: waits_for("kafka", "kudu", "solr"), "a worker that waits for servers", worker.check)
    wait_until(lambda: ask("health")[0] == 503, "an unhealthy worker", worker.check)
    gates["kafka"].open()
    models_too = (MODEL_REPOSITORY, "kudu", "solr")
    wait_until(lambda: waits_for(*models_too), "a worker that waits for its models as well", worker.check)
    gates[MODEL_REPOSITORY].open()
    wait_until(lambda: waits_for("kudu", "solr"), "a worker that waits for both stores", worker.check)
    wait_until(lambda: ask("health")[0] == 503, "an unhealthy worker", worker.check)
    gates["kudu"].open()
    wait_until(lambda: waits_for("solr"), "a worker that waits for Solr", worker.check)
    assert ask("live") == (200, "alive")
    gates["solr"].open()
    worker.wait_for_line("worker is ready")
    wait_until(lambda: ask("ready") == (200, "ready"), "a worker that is ready", worker.check)
    assert {line["server"] for line in worker.lines() if line["event"] == "server answers again"} == {*gates}
    assert worker.stop() == 0
    assert [raw.value for raw in observer.read(settings.status_topic)][-1] is None, "it said goodbye"


def as_process_1() -> list[str]:
    """A command in front of another, which makes that process 1, as in a container; nothing where it is not allowed."""
    unshare = shutil.which("unshare")
    for command in ([unshare, "--pid", "--fork"], [unshare, "--user", "--pid", "--fork"]) if unshare else ():
        if subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0:
            return [str(part) for part in command]
    return []


@pytest.mark.parametrize("moment", ["at once", f"{MODEL_REPOSITORY} is waited for", "solr is waited for"])
def test_a_stop_during_the_start_is_heard_also_by_process_1(
    settings: Settings,
    gates: dict[str, Gate],
    port: int,
    start_worker: Callable[..., Any],
    wait_until: Callable[..., Any],
    observer: Any,
    moment: str,
) -> None:
    ensure_topics(settings)
    waited = moment.removesuffix(" is waited for") if moment != "at once" else ""
    for name in gates if waited else ():
        if name == waited:
            break
        gates[name].open()
    worker = start_worker(command=as_process_1(), **behind(gates), http_port=port)
    worker.wait_for_line("answering over http")  # its first
    wait_until(
        lambda: not waited or any(line.get("server") == waited for line in worker.lines()),
        moment,
        worker.check,
    )
    if waited:
        wait_until(lambda: any(observer.read(settings.status_topic)), "its first status", worker.check)
    outer = psutil.Process(worker.process.pid)
    flumen = outer.children()[0] if outer.name() == "unshare" else outer
    flumen.send_signal(signal.SIGTERM)
    assert worker.process.wait(60) == 0
    assert worker.lines()[-1]["event"] == "worker stopped before it was ready; it had taken nothing"
    if waited:
        statuses = [raw.value for raw in observer.read(settings.status_topic)]
        assert parse_status(statuses[0]).state is WorkerState.STARTING
        assert statuses[-1] is None, "it said goodbye"


def test_process_1_is_ended_by_sigterm_before_a_command_listens_as_well() -> None:
    waits = "import flumen.cli, signal; print(flush=True); signal.pause()"
    with subprocess.Popen(
        [*as_process_1(), sys.executable, "-c", waits], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        psutil_process = psutil.Process(process.pid)
        (psutil_process.children() or [psutil_process])[0].terminate()
        assert process.wait(60) in (128 + signal.SIGTERM, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("model_name", "nobody", "NoModel"),
        ("http_host", "192.0.2.1", "BadSetting"),
        ("kafka_properties", '{{"group.protocol": "sneaky"}}', "BadSetting"),
        ("solr_url", "{solr_url}/elsewhere", "StoreRefused"),
    ],
)
def test_what_is_wrong_ends_the_start_and_is_named(
    settings: Settings, port: int, start_worker: Callable[..., Any], setting: str, value: str, named: str
) -> None:
    """Also where a server is down, and waited for, at the same time; and the model before what a store refuses."""
    ensure_topics(settings)
    value = value.format(solr_url=settings.solr_url)
    beside = {
        "solr_url": {"kudu_masters": "127.0.0.1:1"},
        "model_name": {"solr_url": f"{settings.solr_url}/elsewhere"},
    }
    worker = start_worker(**{"http_port": port, setting: value} | beside.get(setting, {}))
    assert worker.process.wait(120) == 1
    said = worker.log.read_text()
    assert named in said
    assert value.split('"')[-2 if '"' in value else 0] in said
    assert "Traceback" not in said
