"""The images that a report shows: chosen, and made small PNG files that stand in the page itself."""

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flumen.models.evaluation.answers import Answers
from flumen.models.evaluation.report import Report

MOST_BYTES = 8 * 1024 * 1024
"""Of PNG in one page, unless said otherwise."""

SIDE = 96
"""Pixels of a picture's longer side at most."""

MOST_LISTED = 40
"""Mistakes and suspected labels that are shown as pictures, the first of each."""

MOST_WRONG, MOST_RIGHT = 24, 6
"""Pictures behind a cell of the confusion matrix; of what is right, the least sure."""

Cell = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Shown:
    """An image behind a cell: its id, and how sure the model was of what it predicted."""

    id: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Pictures:
    """`uris`: data URIs of PNG by image id. `cells`: what is behind (known, predicted), the surest mistakes first."""

    uris: Mapping[str, str] = field(default_factory=dict)
    cells: Mapping[Cell, tuple[Shown, ...]] = field(default_factory=dict)


def choose(
    report: Report, answers: Answers, pixels: NDArray[np.uint8], most_bytes: int = MOST_BYTES
) -> Pictures:
    """Choose the pictures of a report, and draw them: mistakes, suspected labels, then those behind the cells.

    Args:
        report: the evaluation.
        answers: the model's answers to its images, n.
        pixels: these images, uint8, n x height x width [x 3].
        most_bytes: of PNG; what comes later than that is left out.
    """
    rows = {name: row for row, name in enumerate(answers.ids)}
    cells = _behind_cells(answers)
    mistakes, suspects = report.mistakes[:MOST_LISTED], report.suspects[:MOST_LISTED]
    listed = [*(one.id for one in mistakes), *(one.id for one in suspects)]
    uris: dict[str, str] = {}
    left = most_bytes
    for name in dict.fromkeys([*listed, *_in_turns(cells)]):
        if name not in rows:
            continue
        content = small_png(pixels[rows[name]])
        if len(content) > left:
            break
        left -= len(content)
        uris[name] = data_uri(content)
    drawn = {cell: tuple(one for one in shown if one.id in uris) for cell, shown in cells.items()}
    return Pictures(uris, {cell: shown for cell, shown in drawn.items() if shown})


def _behind_cells(answers: Answers) -> dict[Cell, tuple[Shown, ...]]:
    known, predicted, sure = answers.known, answers.predictions, answers.confidences
    cells: dict[Cell, tuple[Shown, ...]] = {}
    pairs = known * len(answers.labels) + predicted
    order = np.lexsort((np.where(known == predicted, sure, -sure), pairs))
    starts = np.flatnonzero(np.r_[True, np.diff(pairs[order]) > 0])
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        cell = int(known[order[start]]), int(predicted[order[start]])
        most = MOST_RIGHT if cell[0] == cell[1] else MOST_WRONG
        chosen = order[start : min(end, start + most)].tolist()
        cells[cell] = tuple(Shown(answers.ids[row], float(sure[row])) for row in chosen)
    return cells


def _in_turns(cells: Mapping[Cell, tuple[Shown, ...]]) -> Iterable[str]:
    """Yield the ids of all cells' first images, then of their second ones: where room ends, each cell has some."""
    for turn in range(max(MOST_WRONG, MOST_RIGHT)):
        for shown in cells.values():
            if turn < len(shown):
                yield shown[turn].id


def data_uri(png: bytes) -> str:
    """Return a PNG file as it stands in a page."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def small_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return an image (uint8, height x width [x 3]) as PNG of `SIDE` pixels at most."""
    from PIL import Image

    picture = Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)  # noqa: PLR2004
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
