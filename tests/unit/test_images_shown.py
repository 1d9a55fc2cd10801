"""What people see of a data set: the counts in a notebook, and a sheet of its images."""

from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from flumen import contact_sheet
from flumen.models.datasets.counts import class_counts, class_names
from flumen.models.datasets.dataset import Dataset, Labelled
from flumen.models.datasets.source import NO_LABEL, Skip, Tally
from flumen.models.reports.contact_sheet import SIDE

NAMES = ("cat", "<dog>")


def labelled(*labels: int, colour: bool = False, side: int = 8) -> Labelled:
    """Images that are as bright as their row's number tells."""
    shape = (len(labels), side, side, 3) if colour else (len(labels), side, side)
    pixels = np.zeros(shape, np.uint8)
    for row in range(len(labels)):
        pixels[row] = 40 * (row + 1)
    return Labelled(pixels, np.array(labels, np.uint8), [f"image-{row}" for row in range(len(labels))])


class Cells(HTMLParser):
    """The texts that are shown."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_notebook_shows_counts_and_what_was_left_out() -> None:
    tally = Tally()
    tally.add([Skip(NO_LABEL, "a<b>"), Skip(NO_LABEL, "c", more=7)])
    dataset = Dataset(labelled(0, 1, 1), labelled(1), NAMES, skipped=tally.result())
    shown = Cells(dataset._repr_html_()).texts
    assert "3 images of 8x8" in shown
    assert f"9 {NO_LABEL}: a<b>, c, ..." in shown
    table = shown[shown.index("class") : shown.index("Left out:")]
    assert table == ["class", "train", "test", "cat", "1", "0", "<dog>", "2", "1", "all", "3", "1"]


def test_classes_without_names_are_called_by_their_numbers() -> None:
    dataset = Dataset(labelled(0, 2), labelled(1), validation=labelled(3))
    assert class_names(dataset) == ("0", "1", "2", "3")
    assert class_counts(dataset)[-1] == {"class": "all", "train": 2, "validation": 1, "test": 1}


@pytest.mark.parametrize(("colour", "side"), [(False, 8), (True, 8), (True, 200)])
def test_a_sheet_has_each_image_in_its_place(colour: bool, side: int) -> None:
    sheet = contact_sheet(labelled(0, 1, 0, 1, 0, colour=colour, side=side), NAMES, most=4, columns=3)
    assert sheet.mode == "RGB"
    values = np.asarray(sheet)[..., 0]
    for row, value in enumerate([40, 80, 120, 160]):
        top, left = 6 + row // 3 * (SIDE + 20), 6 + row % 3 * (SIDE + 6)
        assert (values[top : top + SIDE, left : left + SIDE] == value).all()
    assert (values[6 + SIDE + 20 :, 6 + SIDE + 6 :] == 255).all()


def test_a_sheet_names_the_classes() -> None:
    sheets = [
        np.asarray(contact_sheet(labelled(label), names))
        for label, names in [(0, NAMES), (1, NAMES), (0, ())]
    ]
    below = [sheet[SIDE + 6 :].tobytes() for sheet in sheets]
    assert len(set(below)) == 3


def test_a_sheet_of_nothing_is_a_picture_still() -> None:
    assert isinstance(contact_sheet(labelled(0).only(np.zeros(1, np.bool_))), Image.Image)


def test_some_of_the_images() -> None:
    some = labelled(0, 1, 0).only(np.array([True, False, True]))
    assert some.labels.tolist() == [0, 0]
    assert some.ids == ["image-0", "image-2"]
    assert some.pixels[:, 0, 0].tolist() == [40, 120]
    unnamed = Labelled(some.pixels, some.labels).only(np.array([False, True]))
    assert (unnamed.ids, unnamed.labels.tolist()) == (None, [0])
