"""Compose, the Dockerfile, the docs and the messages name settings that there are, with the defaults that they have."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flumen.streams.live.health import Pulse
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.web import WebOptions, serving
from flumen.streams.settings import Settings, load_settings
from flumen.streams.settings.environment import OTHER_NAMES

ROOT = Path(__file__).parent.parent.parent
PROSE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RECIPES = [ROOT / name for name in ("docker-compose.yml", "Dockerfile", "Makefile", ".ci/run")]
PACKAGES = ("cli", "interceptor", "models", "replay", "stack", "stores", "streams")
CODE = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]

SETTINGS = {f"FLUMEN_{name.upper()}" for name in Settings.model_fields}
UNITS = {"": 1, "s": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return content


@pytest.fixture(scope="module")
def worker(compose: dict[str, Any]) -> dict[str, Any]:
    service: dict[str, Any] = compose["services"]["worker"]
    return service


@pytest.mark.parametrize("path", [*PROSE, *RECIPES, *CODE], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_name_in_the_environment_is_one_that_is_read(path: Path) -> None:
    named = set(re.findall(r"\bFLUMEN_[A-Z0-9_]*[A-Z0-9]\b", path.read_text()))
    assert named <= SETTINGS | OTHER_NAMES.keys()


def toml_blocks() -> Iterator[tuple[str, str]]:
    for path in PROSE:
        for number, block in enumerate(re.findall(r"```toml\n(.*?)```", path.read_text(), re.DOTALL)):
            yield f"{path.name} {number}", block


@pytest.mark.parametrize(("_", "block"), list(toml_blocks()))
def test_every_setting_in_a_file_that_the_docs_show_is_one(_: str, block: str) -> None:
    content = tomllib.loads(block)
    if content.keys().isdisjoint(
        ("project", "data", "halving")
    ):  # pyproject.toml of an interceptor, and grids
        assert content.keys() <= Settings.model_fields.keys()


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_every_setting_that_the_docs_set_is_one(path: Path) -> None:
    assert set(re.findall(r"`([a-z][a-z0-9_]+) = [^`]+`", path.read_text())) <= Settings.model_fields.keys()


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_defaults_that_the_docs_name_are_the_defaults(path: Path) -> None:
    """Written as `name` (number unit)."""
    for name, number, unit in re.findall(r"`(\w+)` \(([\d.]+) ?([A-Za-z]*)\)", path.read_text()):
        if name in Settings.model_fields:
            assert float(number) * UNITS[unit] == Settings.model_fields[name].default, name


def test_composes_worker_is_set_by_settings_that_there_are(
    worker: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in worker["environment"].items():
        assert name in SETTINGS
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.kafka_servers == "kafka:19092"
    assert (settings.http_host, settings.http_port) == ("::", 9464)


def test_compose_gives_a_worker_the_time_that_a_stop_may_take(worker: dict[str, Any]) -> None:
    from flumen.streams.live.worker import _CLOSE_S

    assert worker["init"] is True
    stop_s = Settings.model_fields["stop_timeout_s"].default + _CLOSE_S
    assert float(worker["stop_grace_period"].removesuffix("s")) > stop_s


def test_the_examples_for_production_give_a_worker_that_time_too() -> None:
    from flumen.streams.live.worker import _CLOSE_S

    page = (ROOT / "docs" / "deploy.md").read_text()
    given = re.findall(r"(?:TimeoutStopSec=|--stop-timeout |terminationGracePeriodSeconds: )(\d+)", page)
    assert len(given) == 3
    assert min(map(float, given)) > Settings.model_fields["stop_timeout_s"].default + _CLOSE_S


def test_composes_worker_is_healthy_when_it_is_ready_and_not_before(
    worker: dict[str, Any], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, program, *arguments = worker["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "python")
    asked = worker["environment"]["FLUMEN_HTTP_PORT"]
    command = [sys.executable, *(part.replace(asked, str(port)) for part in arguments)]
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # of a container behind a proxy

    def check() -> int:
        return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode

    assert check() == 1, "nothing answers"
    pulse = Pulse(60)
    host = worker["environment"]["FLUMEN_HTTP_HOST"]
    with serving(WebOptions(port, host), Metrics(), pulse):
        assert check() == 1, "it starts"
        pulse.ready()
        assert check() == 0
        pulse.waits_for("solr", "down")
        assert check() == 1
