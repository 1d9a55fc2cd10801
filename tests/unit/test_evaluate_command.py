"""`flumen evaluate` as a user calls it, what it keeps beside the model, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from answers_made import some_answers
from hypothesis import given, settings
from model_files import IMAGES, WEIGHTS, expected_probabilities, manifest_for, onnx_file, small_model
from PIL import Image
from test_training_small import write_idx
from typer.testing import CliRunner

from flumen.cli.learning import evaluate
from flumen.cli.learning.evaluate_tables import print_report
from flumen.models.errors import AnswersInvalid, ReportInvalid, RepositoryUnavailable
from flumen.models.evaluation.answers import Answers
from flumen.models.evaluation.kept import Reports
from flumen.models.evaluation.report import Data, from_json, make_report, scores_of, to_json
from flumen.models.evaluation.robustness import measure_robustness
from flumen.models.manifest import Golden
from flumen.models.manifest import from_json as manifest_from_json
from flumen.models.manifest import to_json as manifest_to_json
from flumen.models.repository import Repository
from flumen.models.runtime import OnnxClassifier

app = typer.Typer()
app.command("evaluate")(evaluate.evaluate)
TEST_IMAGES = np.random.default_rng(5).integers(0, 256, (60, 3, 4), dtype=np.uint8)


def run(*arguments: str) -> SimpleNamespace:
    result = CliRunner().invoke(app, arguments)
    return SimpleNamespace(
        code=result.exit_code, text=result.output, stdout=result.stdout, error=result.exception
    )


def measured(*arguments: str):
    done = run(*arguments, "--json")
    assert done.code == 0, done.text
    return json.loads(done.stdout)


@pytest.fixture
def root(tmp_path: Path, monkeypatch) -> str:
    """A repository of two versions of one model, the second of which knows a little less."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("FLUMEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FLUMEN_SOLR_URL", "http://127.0.0.1:1/solr")  # where nothing listens
    repository = Repository(tmp_path / "models")
    repository.register(*small_model())
    other = onnx_file(weights=np.roll(WEIGHTS, 1, axis=1))
    golden = OnnxClassifier(other, manifest_for(other))
    answers = evaluate.ask(golden, IMAGES)
    kept = tuple(
        Golden(image.tobytes(), tuple(row.tolist())) for image, row in zip(IMAGES, answers, strict=True)
    )
    repository.register(other, replace(manifest_for(other), golden=kept))
    return str(tmp_path / "models")


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Test images that the first version has all right but every tenth."""
    classifier = OnnxClassifier(*small_model())
    known = evaluate.ask(classifier, TEST_IMAGES).argmax(axis=1)
    known[::10] = (known[::10] + 1) % 3
    folder = tmp_path / "data"
    folder.mkdir()
    for part in ("train", "t10k"):
        write_idx(folder / f"{part}-images-idx3-ubyte", TEST_IMAGES)
        write_idx(folder / f"{part}-labels-idx1-ubyte", known)
    return str(folder)


def test_the_measures_of_a_model_and_where_it_errs(root, data):
    report = measured("shapes@1", "--root", root, "--data", data)
    assert (report["model"], report["version"], report["data"]["images"]) == ("shapes", 1, 60)
    assert report["measures"]["accuracy"] == 0.9
    assert (
        report["measures"]["accuracy_interval"]["low"] < 0.9 < report["measures"]["accuracy_interval"]["high"]
    )
    assert sum(map(sum, report["confusion"])) == 60
    assert {mistake["id"] for mistake in report["mistakes"]} == {
        f"t10k-images-{row:05d}" for row in range(0, 60, 10)
    }
    assert (report["robustness"], report["against"]) == (None, [])


def test_what_is_printed_says_it_in_tables_and_sentences(root, data):
    arguments = (
        "shapes@1",
        "--root",
        root,
        "--data",
        data,
        "--robustness",
        "--against",
        "shapes@2",
        "--article",
    )
    done = run(*arguments)
    assert done.code == 0, done.text
    assert "shapes@1 on the test images of" in done.text
    for table in (
        "accuracy  ",
        "as the article counts",
        "Each class",
        "The most confident mistakes",
        "As right as it",
    ):
        assert table in done.text
    assert "shapes@1 alone is right on " in done.text
    assert "by McNemar's test. Chance alone would seldom do that: shapes@1 is better." in done.text
    assert "Examples labeled as circle classified by model as circle: " in done.text
    assert "Accuracy on 60 images: 0.900 as they are" in done.text
    assert "rotation" in done.text
    assert f"Kept as {root}/shapes/1/report/evaluation-" in done.text


def test_a_report_is_kept_for_each_set_of_images_and_the_model_stays_as_it_is(root, data):
    before = {path: path.read_bytes() for path in Path(root).rglob("*") if path.is_file()}
    first = measured("shapes@1", "--root", root, "--data", data)
    again = measured("shapes@1", "--root", root, "--data", data, "--robustness", "--against", "shapes@2")
    [kept] = Reports(root).of("shapes", 1)
    assert json.loads(to_json(kept)) == again
    assert {**again, "robustness": None, "against": [], "contested": [], "evaluated_at": 0} == {
        **first,
        "evaluated_at": 0,
    }
    write_idx(Path(data) / "t10k-images-idx3-ubyte", TEST_IMAGES[::-1].copy())
    newest = measured("shapes@1", "--root", root, "--data", data)
    assert [json.loads(to_json(one)) for one in Reports(root).of("shapes", 1)] == [newest, again]
    assert Reports(root).of("shapes", 2) == []
    after = {path: path.read_bytes() for path in Path(root).rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert Repository(root).versions("shapes") == [1, 2]


def test_where_solr_does_not_answer_all_is_done_and_said(root, data, monkeypatch):
    done = run("shapes@1", "--root", root, "--data", data)
    assert done.code == 0
    assert (
        "shapes@1 is not in the index of models: Solr at http://127.0.0.1:1/solr does not answer" in done.text
    )
    assert "models index` makes up for it" in done.text
    assert len(Reports(root).of("shapes", 1)) == 1
    assert "index of models" not in run("shapes@1", "--root", root, "--data", data, "--no-index").text
    monkeypatch.setenv("FLUMEN_SINKS", '["kudu"]')
    assert "index of models" not in run("shapes@1", "--root", root, "--data", data).text


def test_nothing_is_kept_where_nobody_wants_it(root, data):
    measured("shapes@1", "--root", root, "--data", data, "--no-keep")
    assert Reports(root).of("shapes", 1) == []


def test_a_damaged_report_is_named_and_other_files_beside_it_are_left_alone(root, data):
    measured("shapes@1", "--root", root, "--data", data)
    folder = Path(root) / "shapes" / "1" / "report"
    (folder / "figures.json").write_text("{}")
    [file] = folder.glob("evaluation-*")
    assert len(Reports(root).of("shapes", 1)) == 1
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ReportInvalid, match=f"{file.name} is no report of an evaluation"):
        Reports(root).of("shapes", 1)


def test_a_damaged_report_ends_no_command_that_writes_into_the_index(root, data):
    folder = Path(root) / "shapes" / "1" / "report"
    folder.mkdir()
    (folder / "evaluation-0.json").write_text("{")
    done = run("shapes@1", "--root", root, "--data", data)
    assert done.code == 0, done.text
    assert "the index gets the scores of shapes@1's manifest alone: " in done.text
    assert "evaluation-0.json is no report of an evaluation" in done.text


def test_a_repository_of_any_kind_keeps_reports():
    url = "memory://reports-of-evaluations"
    report = made_report()
    place = Reports(url).keep(report)
    assert place == f"{url}/shapes/1/report/evaluation-{'a' * 16}.json"
    assert Reports(url).of("shapes", 1) == [report]


def test_a_repository_that_cannot_be_written_says_so_after_all_was_printed(root, data):
    (Path(root) / "shapes" / "1" / "report").write_text("a file where a folder is to be")
    done = run("shapes@1", "--root", root, "--data", data)
    assert isinstance(done.error, RepositoryUnavailable)
    assert "The most confident mistakes" in done.text


def test_images_of_other_classes_or_another_size_are_refused(root, data, tmp_path):
    assert "knows circle, square, star" in str(run("shapes@1", "--root", root, "--shapes").error)
    write_idx(Path(data) / "t10k-labels-idx1-ubyte", np.arange(60) % 4)
    refused = run("shapes@1", "--root", root, "--data", data).error
    assert isinstance(refused, AnswersInvalid)
    assert "is labelled 3, and the model's labels are 0 to 2" in str(refused)
    for part in ("train", "t10k"):
        write_idx(Path(data) / f"{part}-images-idx3-ubyte", np.zeros((60, 5, 5)))
    assert "take images of the model's size" in str(run("shapes@1", "--root", root, "--data", data).error)
    assert "neither" in str(run("shapes@1", "--root", root, "--data", str(tmp_path / "nowhere")).error)


def test_images_may_be_of_some_of_the_models_classes(root, tmp_path):
    """Their number among the folders is not that among the model's labels."""
    classifier = OnnxClassifier(*small_model())
    squares = TEST_IMAGES[evaluate.ask(classifier, TEST_IMAGES).argmax(axis=1) == 1]
    for row, image in enumerate(squares):
        file = tmp_path / "photos" / ("star" if row % 3 else "square") / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    arguments = ("shapes@1", "--root", root, "--from", "folder", "--data", str(tmp_path / "photos"))
    report = measured(*arguments, "--test", "0.5")
    listed = [f"{file.relative_to(tmp_path)},{file.parent.name}" for file in tmp_path.glob("photos/*/*.png")]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *listed]))
    by_list = ("shapes@1", "--root", root, "--from", "csv", "--data", str(tmp_path / "list.csv"))
    assert measured(*by_list, "--test", "0.5")["measures"]["accuracy"] < 0.6
    circles, right, wrong = (one["images"] for one in report["classes"])
    assert circles == 0 < right < wrong
    assert report["measures"]["accuracy"] == right / (right + wrong)
    (tmp_path / "photos" / "ellipse").mkdir()
    assert "are of ellipse, square, star, and shapes@1 knows" in str(run(*arguments).error)


def test_a_model_is_not_compared_with_itself(root, data):
    done = run("shapes@1", "--root", root, "--data", data, "--against", "shapes@1")
    assert done.code == 2
    assert "name another model" in done.text


def made_report():
    classifier = OnnxClassifier(*small_model())
    known = expected_probabilities().argmax(axis=1)
    answers = Answers(evaluate.ask(classifier, IMAGES), known, list("abcd"), classifier.labels)
    curves = measure_robustness(classifier, IMAGES, known)
    manifest = replace(small_model()[1], version=1)
    return make_report(manifest, answers, Data("four", "a" * 64, 4), 1_790_000_000_000_000, robustness=curves)


def test_a_report_is_read_back_and_a_later_versions_keys_are_ignored():
    report = made_report()
    assert from_json(to_json(report), "it") == report
    more = {**json.loads(to_json(report)), "surprise": 1}
    assert from_json(json.dumps(more).encode(), "it") == report


@settings(deadline=None, max_examples=15)
@given(some_answers(most=12))
def test_any_answers_have_a_report_of_plain_numbers(made):
    """One image, one class only, a class that is never predicted, answers of full confidence: no NaN, no error."""
    report = make_report(replace(small_model()[1], version=1), made, Data("some", "b" * 64, len(made)), 0)
    assert from_json(to_json(report), "it") == report
    measures = report.measures
    assert measures.accuracy_interval.low <= measures.accuracy <= measures.accuracy_interval.high
    assert len(report.mistakes) == round((1 - measures.accuracy) * len(made))
    assert report.suspected == len(report.suspects)
    print_report(report)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "it is no report"),
        (b"[]", "it is no report"),
        (b"{}", "model: Field required"),
        (b'{"schema": 2, "model": 1}', "schema 2, and this version of flumen reads 1 at most"),
    ],
)
def test_what_is_no_report_is_refused(content, what):
    with pytest.raises(ReportInvalid, match=what):
        from_json(content, "it")


def test_a_manifest_keeps_the_scores_of_a_report_and_one_without_them_has_no_such_key():
    report = made_report()
    manifest = replace(small_model()[1], scores=scores_of(report))
    assert manifest.scores is not None
    assert manifest.scores.accuracy_interval == (report.measures.accuracy_interval.low, 1.0)
    assert manifest.scores.robustness is not None
    assert report.robustness is not None
    assert manifest.scores.robustness["noise"] == report.robustness.curves[0].mean
    assert manifest_from_json(manifest_to_json(manifest)) == manifest
    unmeasured = replace(manifest, scores=replace(manifest.scores, robustness=None, log_loss=None))
    written = json.loads(manifest_to_json(unmeasured))["scores"]
    assert "robustness" not in written
    assert "log_loss" not in written
    assert "brier" in written
    assert manifest_from_json(manifest_to_json(unmeasured)) == unmeasured


def test_scores_of_a_manifest_are_shown_as_far_as_they_were_measured(root):
    from flumen.cli.models import app as models

    content, manifest = small_model()
    report = made_report()
    Repository(root).register(content, replace(manifest, scores=scores_of(report)))
    shown = (
        CliRunner().invoke(models.app, ["show", "shapes@3", "--root", root], catch_exceptions=False).stdout
    )
    assert f"log_loss                  │ {report.measures.log_loss:.4f}" in shown
    interval = report.measures.accuracy_interval
    assert f"{interval.low:.4f} to {interval.high:.4f}" in shown
    kept = replace(scores_of(report), log_loss=None, accuracy_interval=None)
    Repository(root).register(content, replace(manifest, scores=kept))
    older = (
        CliRunner().invoke(models.app, ["show", "shapes@4", "--root", root], catch_exceptions=False).stdout
    )
    assert "log_loss" not in older
    assert "interval" not in older
    assert "brier" in older
