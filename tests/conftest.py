"""What every test of the project can ask for: settings for servers of its own, a worker process, published images."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import structlog

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from flumen.cli.testing import WorkerProcess

# pytest-xdist gives its workers a width of 80 columns, and rich keeps for good what it finds at its import.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)

# How long an example takes is the machine's affair. Half as many as usual: there are some two hundred properties.
hypothesis.settings.register_profile("any-machine", deadline=None, max_examples=50)
hypothesis.settings.load_profile("any-machine")

DATA = Path(__file__).parent.parent / "data" / "mnist"

# As in a terminal, also where whoever started the tests has them ignored, as nohup and a shell's `&` do.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def loggers_that_can_be_captured() -> Iterator[None]:
    """No logger is kept as a command has configured it: a later test could not capture what it says."""
    configure = structlog.configure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            structlog, "configure", lambda **how: configure(**{**how, "cache_logger_on_first_use": False})
        )
        yield


@pytest.fixture(scope="session")
def mnist() -> Path:
    """The folder of the article's data set."""
    return DATA


@pytest.fixture(scope="session")
def models_root(flumen_models_root: Path) -> Path:
    """A model repository that holds the shipped models as champions."""
    return flumen_models_root


@pytest.fixture
def flumen_overrides() -> dict[str, Any]:
    """Less to create for each test, and to start for each worker; tests/unit has several processes that intercept."""
    return {"topic_partitions": 2, "kudu_partitions": 2, "interception_processes": 1}


@pytest.fixture
def flumen_names(flumen_stack: Any, flumen_names: Any) -> Iterator[Any]:
    """The plugin's. The tables are dropped here where Java runs: Kudu's own tool would be started for each of them."""
    yield flumen_names
    jpype = sys.modules.get("jpype")
    if jpype is not None and jpype.isJVMStarted():
        drop_tables(flumen_stack.kudu_masters, flumen_names.kudu_prefix)


def drop_tables(masters: str, prefix: str) -> None:
    """Drop the tables whose names begin so, as far as Kudu answers."""
    import jpype

    from flumen.stores.kudu import KuduOptions
    from flumen.stores.kudu.java import acquire_client, release_client

    options = KuduOptions(masters=masters, timeout_s=10)
    try:
        client = acquire_client(options)
        for name in list(client.getTablesList(prefix).getTablesList()):
            client.deleteTable(name)
    except jpype.JException:
        return  # a test may have taken it away
    finally:
        release_client(options)


@pytest.fixture
def settings(flumen_settings: Any) -> Any:
    """Settings that point at the test stack, with topics, tables and a core of the test's own."""
    return flumen_settings


def environment_of(settings: Any) -> dict[str, str]:
    """The environment of a command that is to have these settings."""
    from flumen.cli.background import environment_of as names_of

    return {**os.environ, **names_of(settings)}


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    """Ask until the answer is true, and return it."""
    from flumen.cli.testing import wait_until

    return wait_until


@pytest.fixture
def start_worker(settings: Any, tmp_path: Path) -> "Iterator[Callable[..., WorkerProcess]]":
    """Start workers with the test's settings (and more, by keyword); they are gone after the test."""
    from flumen.cli.testing import WorkerProcess

    started: list[WorkerProcess] = []

    def start(**extra: Any) -> "WorkerProcess":
        worker = WorkerProcess(settings, tmp_path / f"worker{len(started)}.log", **extra)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()


@pytest.fixture
def children_begin_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Let Python processes that start from now on run this code first, as if whatever it does came of a defect."""

    def set_up(code: str) -> None:
        (tmp_path / "sitecustomize.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return set_up


@pytest.fixture
def children_answer_with_code(children_begin_with: Callable[[str], None], tmp_path: Path) -> Path:
    """Let helpers that start from now on answer as one that was taken over: by a pickle that makes this folder."""
    made = tmp_path / "made"
    children_begin_with(
        "import os, pickle\nfrom flumen.models.processes import pickling\nclass Hostile:\n"
        f"    def __reduce__(self): return os.mkdir, ({str(made)!r},)\n"
        "pickling.dumps = lambda *_: pickle.dumps(Hostile())\n"
    )
    return made


@pytest.fixture
def run_flumen(settings: Any) -> Callable[..., "subprocess.CompletedProcess[bytes]"]:
    """Run a `flumen` command in a process of its own, with the test's settings; its streams are bytes."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-m", "flumen", *arguments]
        return subprocess.run(command, capture_output=True, check=False, env=environment_of(settings))

    return run


@pytest.fixture
def ask_flumen(settings: Any) -> Callable[..., "subprocess.CompletedProcess[bytes]"]:
    """As `run_flumen`, within the test's process: where a process of its own, which takes seconds, proves no more."""
    from in_process import call_for_bytes

    return lambda *arguments: call_for_bytes(environment_of(settings), *arguments)


@pytest.fixture
def observer(settings: Any) -> Iterator[Any]:
    """Looks at the test's topics from outside."""
    from flumen.streams.kafka.topic_reader import TopicReader

    observer = TopicReader(settings)
    yield observer
    observer.close()


@pytest.fixture
def wait_until_acknowledged(
    settings: Any, observer: Any, wait_until: Callable[..., Any]
) -> Callable[..., None]:
    """Wait until the worker's group has acknowledged so many messages."""

    def wait(count: int, worker: "WorkerProcess") -> None:
        def done() -> bool:
            return bool(observer.progress(settings.images_topic).acknowledged >= count)

        wait_until(done, f"{count} acknowledged messages", worker.check)

    return wait


@pytest.fixture
def port() -> int:
    """A free port, for a worker's web server: none of those that a connection may have before the worker is there."""
    from flumen.stack.ports import choose

    return choose(["http"], {}, set())["http"]


@pytest.fixture
def png() -> bytes:
    """A grey image of 28x28 pixels."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (28, 28), 200).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A Chromium, for the tests of a file. While Playwright runs, its thread can run no other event loop."""
    from chromium import fetched, installed
    from playwright.sync_api import sync_playwright

    chosen = installed() or fetched()
    with sync_playwright() as started:
        # Its sandbox needs rights that containers do not give; the pages are our own.
        found = started.chromium.launch(
            executable_path=chosen.program, env=dict(chosen.environment), args=["--no-sandbox"]
        )
        yield found
        found.close()


@pytest.fixture
def open_page(browser: "Browser") -> "Iterator[Callable[..., Page]]":
    """Open an address in a window of its own, so wide, in `light` or `dark`.

    In the end, no page may have said anything in its console, nor asked for what does not begin with its address.
    """
    heard: list[str] = []
    contexts = []

    def opened(address: str, width: int = 1400, colours: Any = "light", scripts: bool = True) -> "Page":
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=colours, java_script_enabled=scripts
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda asked: asked.url.startswith(("data:", address)) or heard.append(f"request: {asked.url}"),
        )
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert heard == []
