"""Models found by what they can do: `flumen evaluate` and `models index` write, `flumen search --models` asks."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from flumen.cli import search
from flumen.cli.learning import evaluate
from flumen.cli.models import index as model_index
from flumen.models.repository import MODEL_FILE, Repository
from flumen.models.shipped import SHIPPED
from flumen.stores.errors import StoreRefused

app = typer.Typer()
app.command("evaluate")(evaluate.evaluate)
app.command("index")(model_index.index)
app.command("search")(search.search)

Models = Callable[..., Any]


@pytest.fixture
def models(tmp_path: Path, flumen_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Models:
    """Return a function that runs a command, in JSON, over the shipped models and one without scores."""
    for name, value in flumen_environment.items():
        monkeypatch.setenv(name, value)
    root = str(tmp_path / "models")
    monkeypatch.setenv("FLUMEN_MODELS_ROOT", root)
    repository, shipped = Repository(root), Repository(SHIPPED)
    for name in ("mnist", "shapes"):
        repository.register((SHIPPED / name / "1" / MODEL_FILE).read_bytes(), shipped.manifest(name, 1))
    digits = (SHIPPED / "mnist" / "1" / MODEL_FILE).read_bytes()
    repository.register(digits, replace(shipped.manifest("mnist", 1), scores=None))

    def run(*arguments: str) -> Any:
        done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return run


def ids(answer: dict[str, Any]) -> list[str]:
    return [model["id"] for model in answer["models"]]


def test_a_model_is_found_by_what_it_can_do(models: Models) -> None:
    assert models("index") == ["mnist@1", "mnist@2", "shapes@1"]
    assert ids(models("search", "--models")) == ["shapes@1", "mnist@1", "mnist@2"]
    assert ids(models("search", "--models", "accuracy:[0.97 TO 0.98]")) == ["mnist@1"]
    assert ids(models("search", "--models", "kind:model AND labels:star")) == ["shapes@1"]
    assert ids(
        models("search", "--models", 'parameters:"rate=0.01" AND channels:1', "--sort", "id desc")
    ) == [
        "mnist@2",
        "mnist@1",
    ]
    assert ids(models("search", "--models", "robustness:*")) == []

    report = models("evaluate", "shapes@1", "--shapes", "--robustness", "--robustness-images", "100")
    [found] = models("search", "--models", "robust_noise:[0.5 TO *] AND calibration_error:[0 TO 0.1]")[
        "models"
    ]
    assert found["id"] == "shapes@1"
    assert found["log_loss"] == report["measures"]["log_loss"]
    assert found["accuracy_low"] == report["measures"]["accuracy_interval"]["low"]
    noise = report["robustness"]["curves"][0]
    mean = sum(point["accuracy"] for point in noise["points"]) / len(noise["points"])
    assert found["robust_noise"] == pytest.approx(mean)
    assert models("index") == ["mnist@1", "mnist@2", "shapes@1"]  # from the report it keeps
    [again] = models("search", "--models", "robustness:*")["models"]
    assert again == found
    counted = models("search", "--models", "--facet", "classes", "--limit", "0")
    assert counted["facets"] == {"classes": [{"value": 10, "count": 2}, {"value": 5, "count": 1}]}


def test_what_models_have_not_is_refused(models: Models) -> None:
    refused = CliRunner().invoke(app, ["search", "--models", "--near", "1,2,3km"])
    assert (refused.exit_code, "models are at no place" in refused.output) == (2, True)
    with pytest.raises(StoreRefused, match=r"the index has no field 'speed'. .*There are: accuracy, "):
        models("search", "--models", "speed:2")
