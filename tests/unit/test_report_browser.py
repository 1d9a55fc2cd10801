"""The pages in a real Chromium: nothing is said in a console, nothing asked for, and what can be clicked works."""

from collections.abc import Callable

import pytest
from answers_made import random_answers
from chromium import findings
from playwright.sync_api import Page
from test_report_experiment import runs
from test_report_page import HOSTILE, page_of

from flumen.models.evaluation.answers import Answers
from flumen.models.reports.experiment_page import ExperimentReport

Open = Callable[..., Page]
GROUND_AND_INK = """() => { const style = getComputedStyle(document.body);
return [style.color, style.backgroundColor].map(c => c.match(/\\d+/g).map(Number)); }"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a model whose labels and ids come from an enemy."""
    made = random_answers(300, skill=1.5)
    ids = [f"{HOSTILE[row % len(HOSTILE)]}{row}" for row in range(300)]
    answers = Answers(made.probabilities, made.known, ids, (HOSTILE[0], *made.labels[1:]))
    path = tmp_path_factory.mktemp("report") / "page.html"
    path.write_text(page_of(answers)[2], encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "experiment.html"
    path.write_text(ExperimentReport(HOSTILE[0], runs()).html(), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("which", ["model", "experiment"])
@pytest.mark.parametrize(("width", "colours"), [(360, "light"), (1400, "dark"), (3840, "light")])
def test_a_page_fits_its_window(
    open_page: Open, request: pytest.FixtureRequest, which: str, width: int, colours: str
) -> None:
    page = open_page(request.getfixturevalue(which), width, colours)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert "<script>alert(1)</script>" in page.locator("main").inner_text()


@pytest.mark.parametrize(("which", "colours"), [("model", "dark"), ("experiment", "light")])
def test_a_page_can_be_used_by_all(
    open_page: Open, request: pytest.FixtureRequest, which: str, colours: str
) -> None:
    page = open_page(request.getfixturevalue(which), 1400, colours)
    for details in page.locator("summary").all():
        details.click()
    assert findings(page) == []


def test_what_cannot_be_used_by_all_is_found(open_page: Open) -> None:
    page = open_page("about:blank")
    page.set_content("<main><img src='data:,'><p style='color:#ddd'>pale</p></main>")
    assert {"image-alt", "color-contrast"} <= {each.partition(":")[0] for each in findings(page)}


def test_the_arrow_keys_go_along_rows_and_columns(open_page: Open, experiment: str) -> None:
    page = open_page(experiment)
    page.get_by_role("link", name="rate 1.0E-5, seed 100").focus()
    walked = []
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
        walked.append(page.evaluate("document.activeElement.getAttribute('aria-label')").rpartition(":")[0])
    at = ["1.0E-5, seed 200", "0.001, seed 200", "0.001, seed 100", *["1.0E-5, seed 100"] * 3]
    assert walked == [f"rate {each}" for each in at]


def test_a_cell_opens_its_images(open_page: Open, model: str) -> None:
    page = open_page(model)
    cell = page.locator("a.cell").nth(1)
    behind = page.locator(str(cell.get_attribute("href")))
    assert not behind.is_visible()
    cell.focus()
    page.keyboard.press("Enter")
    behind.locator("img").first.wait_for(state="visible")
    assert behind.locator("img").first.evaluate("image => image.naturalWidth") == 9
    assert page.locator(".behind:visible").count() == 1


def test_the_classes_are_sorted_and_filtered(open_page: Open, model: str) -> None:
    page = open_page(model)
    table = page.locator("#class-table")
    images = table.locator("tbody tr td:nth-child(2)")
    head = table.get_by_role("button", name="images")
    before = [int(text) for text in images.all_inner_texts()]
    head.focus()
    page.keyboard.press("Enter")
    assert [int(text) for text in images.all_inner_texts()] == sorted(before)
    page.keyboard.press("Space")
    assert [int(text) for text in images.all_inner_texts()] == sorted(before, reverse=True)
    page.get_by_label("Filter the classes").fill("ALERT")
    assert table.locator("tbody tr:visible").count() == 1
    assert page.locator("#class-table-count").inner_text() == "1 shown"


def test_dark_and_light_differ_and_text_is_told_from_its_ground(open_page: Open, model: str) -> None:
    ink, ground = open_page(model, colours="light").evaluate(GROUND_AND_INK)
    assert sum(ink) < 150
    assert sum(ground) > 700
    ink, ground = open_page(model, colours="dark").evaluate(GROUND_AND_INK)
    assert sum(ink) > 600
    assert sum(ground) < 120


def test_without_scripts_a_cell_still_opens_its_images(open_page: Open, model: str) -> None:
    page = open_page(model, scripts=False)
    cell = page.locator("a.cell").first
    cell.click()
    assert page.locator(str(cell.get_attribute("href"))).is_visible()


def test_curves_of_runs_are_chosen(open_page: Open, experiment: str) -> None:
    page = open_page(experiment)
    chosen = page.locator("polyline.chosen")
    before = chosen.count()
    box = page.get_by_label(f"Curve of {runs()[-1].run_id}", exact=True)
    assert not box.is_checked()
    box.check()
    assert chosen.count() == before + 2  # accuracy and loss
    box.uncheck()
    assert chosen.count() == before


def test_a_cell_leads_to_its_run_and_runs_are_sorted(open_page: Open, experiment: str) -> None:
    page = open_page(experiment)
    page.get_by_role("link", name="rate 0.01, seed 300: 0.9830").click()
    assert page.locator(".place:target").inner_text() == "10_300_0.01"
    rates = page.locator("#run-table tbody td:nth-child(4)")
    page.get_by_role("button", name="rate").click()
    shown = [float(text) for text in rates.all_inner_texts()]
    assert shown == sorted(shown)
    assert shown[0] == 1e-5
