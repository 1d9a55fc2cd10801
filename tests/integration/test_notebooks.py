"""The notebooks of docs/notebooks run as they stand, on real servers, and show what they say they show.

Their cells run here, without a kernel of Jupyter's: what each of them shows can be looked at as it is.
"""

import ast
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flumen.cli.background import environment_of
from flumen.interceptor.pgm import netpbm_header
from flumen.models.datasets.dataset import Dataset, read_dataset
from flumen.models.datasets.source import NO_LABEL
from flumen.models.evaluation.comparison import Comparison
from flumen.models.reports.experiment_page import ExperimentReport
from flumen.models.repository import CHAMPION, Repository
from flumen.models.shipped import seed
from flumen.streams.control.operator.rollout import RolloutResult
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"
IMAGES = 400
WITHOUT_LABEL = 20


@pytest.fixture
def flumen_overrides(tmp_path: Path) -> dict[str, Any]:
    """A repository of the test's own: a notebook registers what it has made."""
    seed(Repository(tmp_path / "models"))
    given = {"topic_partitions": 2, "kudu_partitions": 2, "interception_processes": 1}
    return {**given, "models_root": str(tmp_path / "models")}


def shown_by(notebook: Path) -> list[Any]:
    """Run the code of a notebook, and return what each cell shows: the value of its last line, if it has one."""
    names: dict[str, Any] = {}
    shown = []
    for kind, text in re.findall(r"^# %%(.*)\n((?:(?!# %%).*\n)*)", notebook.read_text(), re.MULTILINE):
        if kind.strip():
            assert kind.strip() == "[markdown]"
            assert all(line.startswith("#") for line in text.splitlines() if line)
            continue
        cell = ast.parse(text, notebook.name)
        last = cell.body.pop() if isinstance(cell.body[-1], ast.Expr) else None
        exec(compile(cell, notebook.name, "exec"), names)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), notebook.name, "eval"), names))
    return shown


def lines_of_code(notebook: Path) -> int:
    return sum(1 for line in notebook.read_text().splitlines() if line and not line.startswith("#"))


def digits(mnist: Path) -> list[SourceImage]:
    images = read_dataset(mnist).train
    files = [netpbm_header(28, 28, 1) + each.tobytes() for each in images.pixels[:IMAGES]]
    known = [*images.labels[: IMAGES - WITHOUT_LABEL].tolist(), *[None] * WITHOUT_LABEL]
    ids = list(images.ids or ())[:IMAGES]
    return [
        SourceImage(name, file, "", "/camera/1", "image/x-portable-graymap", label, datetime.now(UTC))
        for name, file, label in zip(ids, files, known, strict=True)
    ]


class Cells(HTMLParser):
    """The texts of a table's cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_from_images_in_kudu_to_the_model_that_classifies_and_to_the_best_of_several(
    settings: Settings,
    mnist: Path,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    tmp_path: Path,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {**environment_of(settings), "FLUMEN_CACHE": str(own_cache)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    ensure_topics(settings)
    worker = start_worker()
    publish(digits(mnist), settings.producer_config(), settings.images_topic, None, lambda _: None)
    wait_until_acknowledged(IMAGES, worker)

    notebook = NOTEBOOKS / "learn_from_kudu.py"
    images, sheet, accuracy, other, comparison, mistakes, registered, activated = shown_by(notebook)

    assert isinstance(images, Dataset)
    assert images.fingerprint.rows == IMAGES - WITHOUT_LABEL
    assert {"train", "validation", "test", f"{IMAGES - WITHOUT_LABEL} images of 28x28"} <= {
        part for text in Cells(images._repr_html_()).texts for part in (text, text.partition(" from")[0])
    }
    [left_out] = images.skipped
    assert (left_out.reason, left_out.count) == (NO_LABEL, WITHOUT_LABEL)
    assert isinstance(sheet, Image.Image)
    assert isinstance(mistakes, Image.Image)
    assert 0.5 < accuracy <= 1
    assert 0.3 < other <= 1
    assert isinstance(comparison, Comparison)
    assert comparison.images == len(images.test.labels)
    assert comparison.difference == pytest.approx(accuracy - other)
    assert registered == "mnist@3"
    assert Repository(settings.model_repository).alias("mnist", CHAMPION) == 3
    assert isinstance(activated, RolloutResult)
    assert len(activated.workers) == 1
    assert activated.state is not None
    assert activated.state.champion.version == 3
    assert lines_of_code(notebook) < 30

    written, experiment, grid, curves, compared, reference = shown_by(NOTEBOOKS / "compare_experiments.py")

    assert written == len((tmp_path / "rates.toml").read_text())
    assert isinstance(experiment, ExperimentReport)
    assert {run.state for run in experiment.runs} == {"done"}
    texts = Cells(experiment._repr_html_()).texts
    assert texts[0] == "4 runs of rates"
    assert {run.run_id for run in experiment.runs} <= set(texts)
    assert (grid.name, curves.name) == tuple(plot.name for plot in experiment.plots()[::2])
    assert all(Image.open(BytesIO(plot._repr_png_())).width > 300 for plot in (grid, curves))
    best, second = experiment.runs[:2]
    assert isinstance(compared, Comparison)
    assert best.test is not None
    assert second.test is not None
    assert compared.difference == pytest.approx(best.test.accuracy - second.test.accuracy)
    assert reference == f"rates@{Repository(settings.model_repository).versions('rates')[-1]}"
    assert lines_of_code(NOTEBOOKS / "compare_experiments.py") < 30
