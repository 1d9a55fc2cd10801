"""The page in a real Chromium: nothing is said in its console, nothing asked for, and what can be clicked works.

On Debian: apt-get install chromium. What can be seen without a browser is tested everywhere (`test_report_page.py`).
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from answers_made import random_answers
from test_report_experiment import runs
from test_report_page import HOSTILE, page_of

from flumen.models.evaluation.answers import Answers
from flumen.models.reports.experiment_page import ExperimentReport

sync_api = pytest.importorskip("playwright.sync_api")
WIDTHS = (360, 1600)


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    with sync_api.sync_playwright() as started:
        # Its sandbox needs rights that containers do not give; the page is our own.
        found = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    made = random_answers(300, skill=1.5)
    ids = [f"{HOSTILE[row % len(HOSTILE)]}{row}" for row in range(300)]
    answers = Answers(made.probabilities, made.known, ids, (HOSTILE[0], *made.labels[1:]))
    path = tmp_path_factory.mktemp("report") / "page.html"
    path.write_text(page_of(answers)[2], encoding="utf-8")
    return path


@pytest.fixture(params=WIDTHS)
def page(browser, file, request) -> Iterator[sync_api.Page]:
    """The page at a width; in the end, nothing may have been said or asked for."""
    heard: list[str] = []
    context = browser.new_context(viewport={"width": request.param, "height": 900})
    opened = context.new_page()
    opened.on("console", lambda message: heard.append(message.text))
    opened.on("pageerror", lambda error: heard.append(str(error)))
    opened.on("dialog", lambda dialog: heard.append(dialog.message))
    opened.on("request", lambda asked: asked.url.startswith("data:") or heard.append(asked.url))
    opened.goto(file.as_uri())
    yield opened
    context.close()
    assert heard == [file.as_uri()]


def test_it_fits_the_window(page):
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert "<script>alert(1)</script>" in page.locator("main").inner_text()


def test_a_cell_opens_its_images(page):
    cell = page.locator("a.cell").nth(1)
    behind = page.locator(str(cell.get_attribute("href")))
    assert not behind.is_visible()
    cell.focus()
    page.keyboard.press("Enter")
    behind.locator("img").first.wait_for(state="visible")
    assert behind.locator("img").first.evaluate("image => image.naturalWidth") == 9
    assert page.locator(".behind:visible").count() == 1


def test_the_classes_are_sorted_and_filtered(page):
    table = page.locator("#class-table")
    images = table.locator("tbody tr td:nth-child(2)")
    head = table.get_by_role("button", name="images")
    before = [int(text) for text in images.all_inner_texts()]
    head.click()
    assert [int(text) for text in images.all_inner_texts()] == sorted(before)
    head.click()
    assert [int(text) for text in images.all_inner_texts()] == sorted(before, reverse=True)
    page.get_by_label("Filter the classes").fill("ALERT")
    assert table.locator("tbody tr:visible").count() == 1
    assert page.locator("#class-table-count").inner_text() == "1 shown"


def test_dark_and_light_differ_and_text_is_told_from_its_ground(page):
    colours = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colours[scheme] = page.evaluate(
            "(() => { const style = getComputedStyle(document.body);"
            " return [style.color, style.backgroundColor].map(c => c.match(/\\d+/g).map(Number)); })()"
        )
    ink, ground = colours["light"]
    assert sum(ink) < 150
    assert sum(ground) > 700
    ink, ground = colours["dark"]
    assert sum(ink) > 600
    assert sum(ground) < 120


def test_without_scripts_a_cell_still_opens_its_images(browser, file):
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(file.as_uri())
    cell = opened.locator("a.cell").first
    cell.click()
    assert opened.locator(str(cell.get_attribute("href"))).is_visible()
    context.close()


def test_curves_of_runs_are_chosen(browser, tmp_path):
    path = tmp_path / "experiment.html"
    path.write_text(ExperimentReport("table", runs()).html(), encoding="utf-8")
    heard: list[str] = []
    opened = browser.new_page()
    opened.on("console", lambda message: heard.append(message.text))
    opened.goto(path.as_uri())
    chosen = opened.locator("polyline.chosen")
    before = chosen.count()
    box = opened.get_by_label(f"Curve of {runs()[-1].run_id}", exact=True)
    assert not box.is_checked()
    box.check()
    assert chosen.count() == before + 1
    box.uncheck()
    assert chosen.count() == before
    opened.get_by_role("link", name="rate 0.01, seed 300: 0.9830").click()
    target = opened.locator(".place:target")
    assert target.inner_text() == "10_300_0.01"
    rates = opened.locator("#run-table tbody td:nth-child(4)")
    opened.get_by_role("button", name="rate").click()
    shown = [float(text) for text in rates.all_inner_texts()]
    assert shown == sorted(shown)
    assert shown[0] == 1e-5
    opened.close()
    assert heard == []
