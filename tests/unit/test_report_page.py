"""The page of a model: whole, alone, safe with whatever labels and ids say, and the same as the report's numbers."""

import base64
import hashlib
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from answers_made import random_answers, softmax
from hypothesis import given
from hypothesis import strategies as st
from model_files import small_model
from page_read import PageRead
from PIL import Image

from flumen.models.evaluation.answers import Answers
from flumen.models.evaluation.intervals import wilson
from flumen.models.evaluation.report import Data, Report, make_report
from flumen.models.evaluation.robustness import Curve, Point, Robustness
from flumen.models.manifest import Training
from flumen.models.reports.confusion import MOST_CLASSES, cell_id, confusion_of
from flumen.models.reports.markup import MOST_SIGNS, element, outside, shortened
from flumen.models.reports.model_page import ModelReport
from flumen.models.reports.pictures import Pictures, choose
from flumen.models.reports.png import SCALE, png
from flumen.models.trainers.trainer import Progress

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202eright to left\u2066",
    "x" * 10_000,
    "</style></script><!-- ",
    "tab\tnull\x00bell\x07",
]


ROUNDS = (Progress(1, 3, 0.9, 0.5, 1.0), Progress(2, 3, None, None, 2.0), Progress(3, 3, 0.25, 0.875, 3.0))


def robustness() -> Robustness:
    points = tuple(Point(step, right / 50, wilson(right, 50)) for step, right in ((8.0, 45), (32.0, 20)))
    return Robustness(50, 0, 0.94, wilson(47, 50), (Curve("noise", "levels of 255", points),))


def report_of(answers: Answers) -> Report:
    manifest = small_model()[1]
    about = Data("images made here", "ab" * 32, len(answers))
    return make_report(manifest, answers, about, 1_700_000_000_000_000, robustness=robustness())


def page_of(answers: Answers) -> tuple[Report, Pictures, str]:
    manifest, report = small_model()[1], report_of(answers)
    pixels = np.random.default_rng(3).integers(0, 256, (len(answers), 8, 9), dtype=np.uint8)
    pictures = choose(report, answers, pixels)
    return report, pictures, ModelReport(manifest, report, pictures, ROUNDS).html()


def test_the_page_is_whole_and_shows_the_numbers_of_the_report():
    report, _, html = page_of(random_answers(300, skill=1.5))
    page = PageRead(html)
    assert page.unclosed == []
    for number in (report.measures.accuracy, report.measures.log_loss, report.measures.macro_f1):
        assert f"{number:.4f}" in page.text
    assert f"{report.measures.accuracy_interval.low:.4f} to" in page.text
    assert "Orange: wrong, by the root of the share" in page.text
    assert "Choose a cell to see its images" in page.text
    plain = PageRead(ModelReport(small_model()[1], report, Pictures()).html())
    assert "Choose a cell" not in plain.text
    counts = [text for text in page.texts if text.strip().isdigit()]
    assert {str(count) for row in report.confusion for count in row if count} <= set(counts)


def test_it_loads_nothing_and_runs_its_own_script_alone():
    _, _, html = page_of(random_answers(200))
    page = PageRead(html)
    (policy,) = (each["content"] or "" for each in page.all("meta") if "http-equiv" in each)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for (content,), directive in ((page.scripts, "script-src"), (page.styles, "style-src")):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "link" not in {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,")), tag
    assert "url(" not in page.styles[0]
    assert "@import" not in page.styles[0]


def test_each_link_leads_somewhere_and_no_id_is_there_twice():
    page = PageRead(page_of(random_answers(200))[2])
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(link["href"]).removeprefix("#") for link in page.all("a")} <= set(ids)
    assert {each["data-filters"] for each in page.all("input") if "data-filters" in each} <= set(ids)


def test_each_cell_opens_its_images():
    answers = random_answers(300, skill=1.0)
    report, pictures, html = page_of(answers)
    cells = {(a, b) for a, row in enumerate(report.confusion) for b, count in enumerate(row) if count}
    assert set(pictures.cells) == cells
    links = {str(link["href"]) for link in PageRead(html).all("a") if link.get("class") == "cell"}
    assert links == {f"#{cell_id(*cell)}" for cell in cells}
    rows = {name: row for row, name in enumerate(answers.ids)}
    for (known, predicted), shown in pictures.cells.items():
        for one in shown:
            assert (answers.known[rows[one.id]], answers.predictions[rows[one.id]]) == (known, predicted)
    wrong = pictures.cells[next(cell for cell in cells if cell[0] != cell[1])]
    assert [one.confidence for one in wrong] == sorted((one.confidence for one in wrong), reverse=True)


def test_pictures_are_the_images_themselves():
    answers = random_answers(100, skill=1.0)
    pixels = np.random.default_rng(3).integers(0, 256, (100, 8, 9), dtype=np.uint8)
    pictures = choose(report_of(answers), answers, pixels)
    for name, uri in pictures.uris.items():
        with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as picture:
            assert np.array_equal(np.asarray(picture), pixels[list(answers.ids).index(name)])


def test_pictures_have_a_limit_and_mistakes_come_first():
    answers = random_answers(300, skill=1.0)
    report = report_of(answers)
    pixels = np.random.default_rng(3).integers(0, 256, (300, 100, 150, 3), dtype=np.uint8)
    limit = 300_000
    pictures = choose(report, answers, pixels, limit)
    sizes = [len(base64.b64decode(uri.partition(",")[2])) for uri in pictures.uris.values()]
    assert 0 < sum(sizes) <= limit
    assert report.mistakes[0].id in pictures.uris
    with Image.open(
        io.BytesIO(base64.b64decode(pictures.uris[report.mistakes[0].id].partition(",")[2]))
    ) as one:
        assert one.size == (96, 64)
    html = ModelReport(small_model()[1], report, pictures).html()
    assert report.mistakes[30].id in html  # without its picture, by its id


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_comes_from_outside_stays_text(hostile):
    made = random_answers(60, classes=3, skill=0.5)
    answers = Answers(
        made.probabilities, made.known, [f"{hostile}{row}" for row in range(60)], (hostile, "b", "c")
    )
    report = report_of(answers)
    pictures = choose(report, answers, np.zeros((60, 4, 3), np.uint8))
    evil = replace(report, data=Data(hostile, "0" * 64, 60))
    page = PageRead(ModelReport(small_model()[1], evil, pictures).html())
    assert page.unclosed == []
    plain = PageRead(ModelReport(small_model()[1], report_of(made), pictures).html())
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain.elements}
    assert len(page.scripts) == 1
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert shortened(hostile) in page.text
    assert "\u202e" not in page.text
    assert "x" * (MOST_SIGNS + 1) not in page.text


@given(st.text(max_size=300))
def test_any_text_is_read_back_as_it_is_shown(text):
    page = PageRead(f"{element('p', outside(text), title=text[:50])}")
    assert "".join(page.texts) == shortened(text)
    assert [tag for tag, _ in page.elements] == ["p", "bdi"]
    assert len(shortened(text)) <= MOST_SIGNS + 1


def test_of_many_classes_the_heat_map_shows_those_told_worst():
    counts = np.diag(np.full(100, 50))
    counts[70, 3] = 9
    confusion = confusion_of(counts.tolist(), [f"class {number}" for number in range(100)])
    assert len(confusion.shown) == MOST_CLASSES
    assert {3, 70} <= set(confusion.shown)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("4000 images of 32x32", "4000 images of 32x32"),
        ("4,000 images of 32x32", "4,000 images of 32x32"),
        ("40000 images, the first", "40000 images, the first: 4,000 images"),
        ("folder photos", "folder photos: 4,000 images"),
    ],
)
def test_how_many_it_learnt_from_is_said_once(data, said):
    report, pictures, _ = page_of(random_answers(30))
    manifest = small_model()[1]
    training = Training(data, "cd" * 32, 4000, 1, {}, 1.0, {})
    page = PageRead(ModelReport(replace(manifest, training=training), report, pictures).html())
    assert page.texts[page.texts.index("learnt from") + 1] == said


def test_a_model_without_mistakes_has_a_page():
    known = np.arange(30) % 3
    answers = Answers(
        softmax(np.eye(3)[known] * 9).astype(np.float32), known, [f"{n}" for n in range(30)], "abc"
    )
    page = PageRead(page_of(answers)[2])
    assert "every image was classified right" in page.text
    assert "Orange: wrong" not in page.text
    assert "Labels that may be wrong" not in page.text


def test_how_it_learnt_is_shown_where_it_is_known():
    report, pictures, html = page_of(random_answers(60))
    page = PageRead(html)
    assert "Last: 0.2500, after 3 rounds." in page.text
    assert "Last: 0.8750, after 3 rounds." in page.text
    assert "How it learnt" not in ModelReport(small_model()[1], report, pictures).html()
    only_loss = ModelReport(small_model()[1], report, pictures, (Progress(1, 1, 0.5, None, 1.0),)).plots()
    assert [plot.name for plot in only_loss if "training" in plot.name] == ["training-loss"]


def test_each_plot_as_png():
    report, pictures, _ = page_of(random_answers(100))
    plots = ModelReport(small_model()[1], report, pictures, ROUNDS).plots()
    assert [plot.name for plot in plots] == [
        "confusion",
        "reliability",
        "training-loss",
        "training-accuracy",
        "robustness-noise",
    ]
    for plot in plots:
        box = re.search(r'viewBox="0 0 (\d+) (\d+)"', plot.svg)
        assert box is not None
        with Image.open(io.BytesIO(png(plot))) as picture:
            assert picture.size == (int(box[1]) * SCALE, int(box[2]) * SCALE)
            colours = picture.convert("RGB").getcolors(1_000_000) or []
        assert len(colours) > 20  # it is drawn in its colours, and not black on white
        assert max(colours)[1] != (0, 0, 0)
