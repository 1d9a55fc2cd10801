"""What the tests of operators' commands share: how they are run, and what they print."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flumen.cli.background import environment_of
from flumen.cli.main import app
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.settings import Settings

Run = Callable[..., Result]


def commands(settings: Settings, patch: pytest.MonkeyPatch, folder: Path) -> Run:
    """Return what runs `flumen models` with these settings, in this folder; its arguments are the command's."""
    for name, value in environment_of(settings).items():
        patch.setenv(name, value)
    patch.setenv("COLUMNS", "250")
    patch.chdir(folder)
    ensure_topics(settings)
    return lambda *arguments: CliRunner().invoke(app, ["models", *map(str, arguments)])


def done(result: Result) -> str:
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def printed(result: Result) -> Any:
    return json.loads(done(result))


def fleet(run: Run) -> dict[str, Any]:
    """Return the fleet of `mnist`: its desired state, and its workers by name."""
    (found,) = printed(run("status", "mnist", "--json"))
    return found | {"workers": {row["worker"]: row for row in found["workers"]}}


def models(run: Run) -> dict[str, str]:
    return {name: row["model"] for name, row in fleet(run)["workers"].items()}


def revision(run: Run) -> int:
    """Return the revision that readers see; a broker says that a transaction is committed before they do."""
    desired = fleet(run)["desired"]
    return int(desired["revision"]) if desired else 0
