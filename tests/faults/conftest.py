"""The faults' own servers, since they are killed; and the table of what came of it."""

import inspect
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_report import LONG, REPORT, Row, markdown, table
from fault_scene import Scene
from fault_servers import CONFIGSET, Servers

from flumen.stack.layout import Endpoints
from flumen.stack.local import down, up
from flumen.streams.settings import Settings

_ROWS: list[Row] = []
_LONG_TIMEOUT_S = 3600


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the faults that are only in the long form for `make faults`, and give those more time."""
    here = Path(__file__).parent
    own = [item for item in items if here in item.path.parents]
    if LONG:
        for item in own:
            item.add_marker(pytest.mark.timeout(_LONG_TIMEOUT_S))
        return
    left_out = [item for item in own if item.get_closest_marker("long_form")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print a row a fault; the long form, run as a whole, writes the report as well."""
    if not _ROWS:
        return
    terminalreporter.write_sep("=", "faults")
    terminalreporter.write_line(table(_ROWS))
    if LONG and not config.option.keyword:
        REPORT.write_text(markdown(_ROWS), encoding="utf-8")
        terminalreporter.write_line(f"written to {REPORT}")


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Servers that no other test uses, gone after the session."""
    with tempfile.TemporaryDirectory(prefix="flumen-faults-", ignore_cleanup_errors=True) as home:
        try:
            up(Path(home), CONFIGSET)
            yield Servers(Path(home))
        finally:
            down(Path(home), purge=True)


@pytest.fixture(scope="session")
def flumen_stack(servers: Servers) -> Endpoints:
    """In place of the stack that all other tests share."""
    return up(servers.home, CONFIGSET)


@pytest.fixture
def all_servers(servers: Servers) -> Iterator[Servers]:
    """All servers run, before the test and after it."""
    servers.start_missing()
    yield servers
    servers.start_missing()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The shortest session that a broker allows: until it is over, a killed worker keeps its partitions."""
    return settings.model_copy(update={"kafka_properties": {"session.timeout.ms": "6000"}})


@pytest.fixture
def scene(
    request: pytest.FixtureRequest,
    all_servers: Servers,
    settings: Settings,
    start_worker: Callable[..., Any],
    mnist: Path,
) -> Scene:
    """A scene whose row in the report says what the test's docstring says."""
    function = request.node.function
    name = function.__name__.removeprefix("test_").replace("_", " ")
    row = Row(name, " ".join((inspect.getdoc(function) or "").split()))
    _ROWS.append(row)
    return Scene(settings, start_worker, row, mnist)
