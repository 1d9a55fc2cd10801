"""A repository of each test's own, and the scene."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from swap_scene import Digits, Scene

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


@pytest.fixture
def models_root(tmp_path: Path) -> Path:
    """In place of the repository that all other tests share: with a version of each, to which these add others."""
    root = tmp_path / "models"
    repository, shipped = Repository(str(root)), Repository(SHIPPED)
    for name in shipped.names():
        content = (SHIPPED / name / "1" / MODEL_FILE).read_bytes()
        repository.register(content, shipped.manifest(name, 1))
        repository.set_alias(name, CHAMPION, 1)
    return root


@pytest.fixture
def flumen_models_root(models_root: Path) -> Path:
    """Let the settings name it too."""
    return models_root


@pytest.fixture(scope="session")
def digits(mnist: Path) -> Digits:
    return Digits(mnist)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The shortest session that a broker allows: until it is over, a killed worker keeps its partitions."""
    more: dict[str, Any] = {"kafka_properties": {"session.timeout.ms": "6000"}, "heartbeat_s": 0.2}
    return settings.model_copy(update=more)


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
