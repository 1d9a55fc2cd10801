"""A repository of each test's own, and the scene."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from own_settings import own_settings
from swap_scene import Digits, Scene

from flumen.cli.testing import WorkerProcess
from flumen.cli.testing import wait_until as until
from flumen.models.repository import CHAMPION, MODEL_FILE, Repository
from flumen.models.shipped import SHIPPED
from flumen.stores.kudu import KuduReader
from flumen.streams.settings import Settings

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the long form for `make faults`, and give it more time."""
    long = [item for item in items if item.get_closest_marker("long_form") and item.path.parent == HERE]
    if os.environ.get("FLUMEN_FAULTS") == "long":
        for item in long:
            item.add_marker(pytest.mark.timeout(1800))
    else:
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a version of each shipped model, to be copied: its making takes longer."""
    root = tmp_path_factory.mktemp("seeded") / "models"
    repository, shipped = Repository(str(root)), Repository(SHIPPED)
    for name in shipped.names():
        content = (SHIPPED / name / "1" / MODEL_FILE).read_bytes()
        repository.register(content, shipped.manifest(name, 1))
        repository.set_alias(name, CHAMPION, 1)
    return root


@pytest.fixture
def models_root(tmp_path: Path, seeded: Path) -> Path:
    """In place of the repository that all other tests share: with a version of each, to which these add others."""
    return Path(shutil.copytree(seeded, tmp_path / "models"))


@pytest.fixture
def flumen_models_root(models_root: Path) -> Path:
    """Let the settings name it too."""
    return models_root


@pytest.fixture(scope="session")
def digits(mnist: Path) -> Digits:
    return Digits(mnist)


SWAPPING: dict[str, Any] = {
    "kafka_properties": {"session.timeout.ms": "6000"},
    "heartbeat_s": 0.2,
    "interception_processes": 1,
}
"""The shortest session that a broker allows: until it is over, a killed worker keeps its partitions. Few processes."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update=SWAPPING)


@pytest.fixture(scope="module")
def shared_settings(
    flumen_stack: Any, seeded: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Settings as those of a test, with a repository, topics, tables and a core for all tests of a file."""
    home = tmp_path_factory.mktemp("shared")
    with own_settings(flumen_stack, shutil.copytree(seeded, home / "models"), home, **SWAPPING) as settings:
        yield settings


@pytest.fixture(scope="module")
def start_shared_worker(shared_settings: Settings) -> Iterator[Callable[..., WorkerProcess]]:
    """Start workers with the settings of all tests of a file; they are gone after the last one."""
    started: list[WorkerProcess] = []

    def start(**extra: Any) -> WorkerProcess:
        worker = WorkerProcess(shared_settings, shared_settings.home / f"worker{len(started)}.log", **extra)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()


@pytest.fixture(scope="module")
def shared_scene(
    shared_settings: Settings, start_shared_worker: Callable[..., Any], digits: Digits
) -> Iterator[Scene]:
    """The scene of all tests of a file."""
    scene = Scene(shared_settings, start_shared_worker, digits, until)
    yield scene
    scene.close()


@pytest.fixture
def scene(
    settings: Settings, start_worker: Callable[..., Any], digits: Digits, wait_until: Callable[..., Any]
) -> Iterator[Scene]:
    scene = Scene(settings, start_worker, digits, wait_until)
    yield scene
    scene.close()


@pytest.fixture
def kudu(settings: Settings) -> Iterator[KuduReader]:
    reader = KuduReader(settings.kudu_options())
    yield reader
    reader.close()
