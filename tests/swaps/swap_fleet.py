"""What the tests of operators' commands share: how they are run, and what they print."""

import json
from collections.abc import Callable
from typing import Any

from typer.testing import Result

Run = Callable[..., Result]


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
