"""Fixtures that hand real servers to tests: the pytest plugin `flumen_stack`.

Every pytest run on this machine loads this file, so what is heavy is imported inside the fixtures.
"""

import importlib.util
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from flumen.stack.layout import Endpoints

CONFIGSET_OPTION = "flumen_solr_configset"


@dataclass(frozen=True, slots=True)
class Names:
    """Names for one test, unique by `suffix`; Kudu tables begin with `kudu_prefix`."""

    suffix: str
    images_topic: str
    dead_topic: str
    resolutions_topic: str
    parked_topic: str
    classified_topic: str
    control_topic: str
    status_topic: str
    audit_topic: str
    group_id: str
    kudu_prefix: str
    solr_core: str

    @property
    def settings(self) -> dict[str, str]:
        """What flumen's settings are to be. The topic of results is not among them: it is off unless set."""
        given = asdict(self)
        prefix = given.pop("kudu_prefix")
        unset = ("suffix", "classified_topic")
        return {name: value for name, value in given.items() if name not in unset} | {
            "kudu_table_prefix": prefix
        }


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the setting that names the Solr config set."""
    parser.addini(
        CONFIGSET_OPTION, "Solr config set of the test stack: a folder that holds conf/", type="paths"
    )


@pytest.fixture(scope="session")
def flumen_stack(pytestconfig: pytest.Config) -> "Iterator[Endpoints]":
    """Real Kafka, Kudu and Solr, started for this session and gone after it.

    `FLUMEN_TEST_STACK` is `docker`, `local` or `auto` (Docker where an engine answers, else this machine).
    With `FLUMEN_TEST_STACK_HOME`, the local stack in that folder serves: started if need be, left running.
    """
    configset = _configset(pytestconfig)
    kept_home = os.environ.get("FLUMEN_TEST_STACK_HOME")
    with ExitStack() as stack:
        if kept_home:
            from flumen.stack.local import up

            yield up(Path(kept_home), configset)
        elif _wants_docker():
            from flumen.stack.containers import containers

            yield stack.enter_context(containers(configset))
        else:
            yield stack.enter_context(_own_stack(configset))


@contextmanager
def own_names(stack: "Endpoints") -> Iterator[Names]:
    """Names that nothing else uses. Topics, cores and tables made under them are removed in the end."""
    from flumen.stack.leftovers import remove_leftovers

    suffix = uuid.uuid4().hex[:12]
    yield Names(
        suffix=suffix,
        images_topic=f"images-{suffix}",
        dead_topic=f"images-dead-{suffix}",
        resolutions_topic=f"images-resolutions-{suffix}",
        parked_topic=f"images-parked-{suffix}",
        classified_topic=f"images-classified-{suffix}",
        control_topic=f"models-control-{suffix}",
        status_topic=f"models-status-{suffix}",
        audit_topic=f"models-audit-{suffix}",
        group_id=f"flumen-{suffix}",
        kudu_prefix=f"t_{suffix}_",
        solr_core=f"core-{suffix}",
    )
    remove_leftovers(stack, suffix)


@pytest.fixture
def flumen_names(flumen_stack: "Endpoints") -> Iterator[Names]:
    """Names that no other test uses. Topics, cores and tables made under them are removed after the test."""
    with own_names(flumen_stack) as names:
        yield names


@pytest.fixture
def flumen_environment(flumen_stack: "Endpoints", flumen_names: Names) -> dict[str, str]:
    """Return the `FLUMEN_*` names of a `flumen` command that is to use these servers, under this test's names."""
    settings = {**flumen_stack.settings, **flumen_names.settings}
    return {f"FLUMEN_{name.upper()}": value for name, value in settings.items()}


@contextmanager
def _own_stack(configset: Path) -> "Iterator[Endpoints]":
    from flumen.stack.local import down, up

    with tempfile.TemporaryDirectory(prefix="flumen-test-", ignore_cleanup_errors=True) as home:
        try:
            yield up(Path(home), configset)
        finally:
            down(Path(home), purge=True)


def _wants_docker() -> bool:
    choice = os.environ.get("FLUMEN_TEST_STACK", "auto")
    if choice not in {"docker", "local", "auto"}:
        raise pytest.UsageError(f"FLUMEN_TEST_STACK is {choice!r}; allowed are docker, local and auto")
    if choice == "auto":
        from flumen.stack.docker import available

        return available()
    return choice == "docker"


def _configset(config: pytest.Config) -> Path:
    """Return the config set of the settings, else the one that flumen's own Solr store brings."""
    chosen: list[Path] = config.getini(CONFIGSET_OPTION)
    if chosen:
        return chosen[0]
    spec = importlib.util.find_spec("flumen.stores")  # found, not imported: no store is a part of the stack
    if spec is None or not spec.submodule_search_locations:
        raise pytest.UsageError(f"no Solr config set found; set {CONFIGSET_OPTION} in the pytest settings")
    return Path(next(iter(spec.submodule_search_locations))) / "solr" / "configset"
