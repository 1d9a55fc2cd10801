"""Several servers started at once: what came up stays, whatever became of the others."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flumen.stack import launch
from flumen.stack.errors import ServerFailed
from flumen.stack.launch import Launch
from flumen.stack.layout import Layout, State
from flumen.stack.process import stop
from flumen.stack.server import Command, Server
from flumen.stores.artifacts.progress import silent

LIVES = "import time; time.sleep(600)"
DIES = "print('its last words')"


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Layout]:
    monkeypatch.setattr(launch, "resolve", lambda *_: [])
    layout = Layout(tmp_path)
    yield layout
    stop(layout.read_state().running().values(), grace_seconds=0)


def server(name: str, program: str = LIVES, answers: Callable[[], bool] = lambda: True) -> Server:
    command = Command([sys.executable, "-c", program])
    return Server(name, name, f"127.0.0.1/{name}", {}, lambda _files: command, answers)


def test_what_came_up_is_kept_where_another_does_not_in_time(layout: Layout) -> None:
    servers = [server("kafka"), server("solr", answers=lambda: False)]
    with pytest.raises(ServerFailed) as late:
        Launch(layout, State(), silent, timeout_s=0.5).run(servers)
    message = str(late.value)
    assert message.startswith("solr does not answer after 0.5 s; `flumen up --timeout` waits longer.")
    assert str(layout.log("solr")) in message
    assert message.splitlines()[-1] == (
        "Running, and kept so: kafka. Still starting: solr. "
        "`flumen up` goes on from here, `flumen down` stops all."
    )
    before = layout.read_state().running()
    assert set(before) == {"kafka", "solr"}

    Launch(layout, layout.read_state(), silent).run([server("kafka"), server("solr")])
    assert layout.read_state().running() == before, "the one that was late is waited for, not started again"


def test_what_came_up_is_kept_where_another_dies(layout: Layout) -> None:
    with pytest.raises(ServerFailed) as died:
        Launch(layout, State(), silent).run([server("kafka"), server("solr", DIES, lambda: False)])
    assert "solr died while starting" in str(died.value)
    assert "its last words" in str(died.value)
    assert "kept so: kafka. `flumen up`" in str(died.value)
    assert set(layout.read_state().running()) == {"kafka"}


def test_each_that_failed_is_named(layout: Layout) -> None:
    servers = [server("kafka", answers=lambda: False), server("solr", answers=lambda: False)]
    with pytest.raises(ServerFailed) as late:
        Launch(layout, State(), silent, timeout_s=0.2).run(servers)
    for name in ("kafka", "solr"):
        assert f"{name} does not answer" in str(late.value)
    assert "kept so: none." in str(late.value)


def test_an_interrupted_start_leaves_nothing(layout: Layout) -> None:
    def interrupted() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Launch(layout, State(), silent).run([server("kafka"), server("solr", answers=interrupted)])
    assert layout.read_state().running() == {}
