"""`flumen report` as a user calls it, and what it refuses."""

from pathlib import Path

import pytest
import typer
from page_read import PageRead
from test_evaluate_command import data, root, run  # noqa: F401 - fixtures
from typer.testing import CliRunner

from flumen.cli.learning import report
from flumen.models.errors import ReportMissing
from flumen.streams.errors import NotSaved

app = typer.Typer()
app.command("report")(report.report)


def reported(*arguments: str):
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def evaluated(root, data):  # noqa: F811
    assert run("shapes@1", "--root", root, "--data", data, "--no-index").code == 0
    return root


def test_a_page_with_pictures_and_plots(evaluated, data, tmp_path: Path):  # noqa: F811
    page, plots = tmp_path / "page.html", tmp_path / "plots"
    done = reported("shapes@1", "--root", evaluated, "--data", data, "-o", str(page), "--png", str(plots))
    assert done.exit_code == 0, done.output
    read = PageRead(page.read_text(encoding="utf-8"))
    assert "shapes@1" in read.text
    assert len(read.all("img")) >= 6
    assert sorted(file.name for file in plots.iterdir()) == ["confusion.png", "reliability.png"]
    again = reported("shapes@1", "--root", evaluated, "--data", data, "-o", str(page))
    assert isinstance(again.exception, NotSaved)
    assert (
        reported("shapes@1", "--root", evaluated, "--data", data, "-o", str(page), "--force").exit_code == 0
    )


def test_without_pictures_the_data_is_not_needed(evaluated, tmp_path: Path):
    page = tmp_path / "page.html"
    done = reported(
        *("shapes@1", "--root", evaluated, "--data", "/nowhere", "--no-pictures", "-o", str(page))
    )
    assert done.exit_code == 0, done.output
    read = PageRead(page.read_text(encoding="utf-8"))
    assert read.all("img") == []
    assert "t10k-images-00010" in read.text


def test_a_model_that_was_not_evaluated_is_refused(evaluated, data, tmp_path: Path):  # noqa: F811
    refused = reported("shapes@2", "--root", evaluated, "--data", data, "-o", str(tmp_path / "no.html"))
    assert isinstance(refused.exception, ReportMissing)
    assert "flumen evaluate shapes@2" in str(refused.exception)
    assert not (tmp_path / "no.html").exists()


def test_other_images_than_it_was_evaluated_with_are_refused(evaluated, data, tmp_path: Path):  # noqa: F811
    labels = Path(data) / "t10k-labels-idx1-ubyte"
    content = bytearray(labels.read_bytes())
    content[-1] = (content[-1] + 1) % 3
    labels.write_bytes(content)
    refused = reported("shapes@1", "--root", evaluated, "--data", data, "-o", str(tmp_path / "no.html"))
    assert isinstance(refused.exception, ReportMissing)
    assert "--no-pictures" in str(refused.exception)
