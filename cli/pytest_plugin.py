"""Fixtures that put a real worker on the servers of `flumen_stack`: the pytest plugin `flumen_worker`.

Every pytest run on this machine loads this file, so what is heavy is imported inside the fixtures.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flumen.cli.testing import FlumenWorker
    from flumen.stack.layout import Endpoints
    from flumen.stack.pytest_plugin import Names
    from flumen.streams.settings import Settings


@pytest.fixture(scope="session")
def flumen_models_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a model repository that holds the models that come with flumen, each as champion."""
    from flumen.models.repository import Repository
    from flumen.models.shipped import seed

    root = tmp_path_factory.mktemp("models")
    seed(Repository(str(root)))
    return root


@pytest.fixture(scope="session")
def flumen_kudu_classpath() -> list[Path]:
    """Return the jars of Kudu's Java client, downloaded if need be."""
    from flumen.stores.kudu.jars import client_jars

    return list(client_jars())


@pytest.fixture
def flumen_overrides() -> dict[str, Any]:
    """Return settings of your own, by name: define this fixture anew in a test module, or in a conftest.py."""
    return {}


@pytest.fixture
def flumen_settings(
    flumen_stack: "Endpoints",
    flumen_names: "Names",
    flumen_models_root: Path,
    flumen_overrides: dict[str, Any],
    tmp_path: Path,
) -> "Settings":
    """Return settings for the servers of `flumen_stack`, with topics, tables and a core of the test's own."""
    from flumen.streams.settings import load_settings

    given = {"home": tmp_path, "models_root": str(flumen_models_root)}
    return load_settings(**{**given, **flumen_stack.settings, **flumen_names.settings, **flumen_overrides})


@pytest.fixture
def flumen_worker(flumen_settings: "Settings", tmp_path: Path) -> "Iterator[FlumenWorker]":
    """Run a worker with `flumen_settings` until the test ends: `publish` images, `wait_for` what becomes of them."""
    from flumen.cli.testing import FlumenWorker

    worker = FlumenWorker(flumen_settings, tmp_path / "flumen-worker.log")
    yield worker
    worker.close()
