"""The confusion matrix as a heat map, each of whose cells leads to its images."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flumen.models.reports.axes import written
from flumen.models.reports.markup import Markup, element, shortened
from flumen.models.reports.plot import Plot, Table

SHADES = 20
"""Steps of colour above nothing, as the style sheet has them: `right-1` to `right-20`, `wrong-1` to `wrong-20`."""

MOST_CLASSES = 40
"""Classes that a heat map shows; of more, those that are told worst."""

FEW = 7
"""Classes of which a heat map as wide as others would have large writing."""

_CELL = 34
_SIGN, _NAME = 7, 24
"""Widths in the view box, of a character of a label and of the name of an axis beside it."""

_LABEL_SIGNS = 12
_UPRIGHT = 3
_MOST_PAIRS = 500


@dataclass(frozen=True, slots=True)
class Confusion:
    """`counts`: int64, known x predicted, of all classes; `shown`: the positions of those in the heat map."""

    counts: NDArray[np.int64]
    labels: Sequence[str]
    shown: Sequence[int]


def confusion_of(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> Confusion:
    """Choose what a heat map shows: all classes, or of many those with the most mistakes, in their own order."""
    matrix = np.array(counts, np.int64)
    wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    worst = np.argsort(-wrong, kind="stable")[:MOST_CLASSES]
    return Confusion(matrix, labels, sorted(worst.tolist()))


def cell_id(known: int, predicted: int) -> str:
    """Return the id of the part of the page that has a cell's images."""
    return f"cell-{known}-{predicted}"


def cell_link(known: int, predicted: int) -> str:
    """Return the address of the part of the page that has a cell's images."""
    return f"#{cell_id(known, predicted)}"


def confusion_plot(
    confusion: Confusion,
    opens: Container[tuple[int, int]] = (),
    link: Callable[[int, int], str] = cell_link,
) -> Plot:
    """Return the heat map; `opens` are the cells that have images, by `link` their address."""
    counts, labels, shown = confusion.counts, confusion.labels, confusion.shown
    images = np.maximum(counts.sum(axis=1), 1)
    off = counts / images[:, None] * (1 - np.eye(len(counts)))
    most = float(off.max()) or 1.0
    longest = max(len(shortened(labels[position], _LABEL_SIGNS)) for position in shown)
    side, left = len(shown) * _CELL, _NAME + longest * _SIGN + 10
    top = _NAME + (18 if longest <= _UPRIGHT else longest * 5 + 14)
    width, height = left + side + (0 if longest <= _UPRIGHT else longest * 5), top + side
    parts = _names(confusion, left, top, longest > _UPRIGHT)
    for row, known in enumerate(shown):
        for column, predicted in enumerate(shown):
            count = int(counts[known, predicted])
            share = count / int(images[known])
            # A mistake is rare beside what is right: each has a scale of its own, and that of mistakes is of roots.
            scaled = share if known == predicted else (share / most) ** 0.5
            corner = left + column * _CELL, top + row * _CELL
            cell = _drawn(corner, count, known == predicted, scaled)
            said = (
                f"{shortened(labels[known], 40)} taken for {shortened(labels[predicted], 40)}: "
                f"{count:,} times, {100 * share:.2f} %"
            )
            if (known, predicted) in opens:
                target = link(known, predicted)
                parts.append(
                    element(
                        "a",
                        element("title", said),
                        cell,
                        href=target,
                        aria_label=said,
                        class_="cell",
                        data_row=row,
                        data_column=column,
                    )
                )
            else:
                parts.append(element("g", element("title", said), cell))
    svg = element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        role="group",
        aria_label="Confusion matrix: known class by row, predicted class by column",
        class_="plot heat",
    )
    left_out = len(counts) - len(shown)
    note = "Blue: right, by the share of the row."
    if off.any():
        note += f" Orange: wrong, by the root of the share, the strongest being {100 * most:.2f} % of a row."
    if any(cell in opens for cell in np.ndindex(counts.shape)):
        note += " Choose a cell to see its images."
    if left_out:
        note += f" {left_out:,} classes with fewer mistakes are left out here."
    return Plot("confusion", "Confusion matrix", svg, _pairs(confusion), note)


def _names(confusion: Confusion, left: int, top: int, slanted: bool) -> list[Markup]:
    """Return the names of the axes, and the labels of the rows and columns."""
    middle = len(confusion.shown) * _CELL / 2
    turned = f"rotate(-90 12 {top + middle:g})"
    parts = [
        written(left + middle, 14, "predicted", "middle", "name"),
        element("g", written(12, top + middle, "known", "middle", "name"), transform=turned),
    ]
    for place, position in enumerate(confusion.shown):
        label = shortened(confusion.labels[position], _LABEL_SIGNS)
        along = place * _CELL + _CELL / 2
        parts.append(written(left - 6, top + along + 4, label, "end"))
        x, y = left + along, top - 6
        turned = f"rotate(-45 {x:g} {y:g})"
        anchor = "start" if slanted else "middle"
        parts.append(element("g", written(x, y, label, anchor), transform=turned if slanted else None))
    return parts


def _drawn(corner: tuple[int, int], count: int, right: bool, scaled: float) -> Markup:
    shade = 0 if not count else max(1, round(SHADES * min(scaled, 1.0)))
    kind = "right" if right else "wrong"
    x, y = corner
    square = element(
        "rect",
        x=x,
        y=y,
        width=_CELL - 1.5,
        height=_CELL - 1.5,
        rx=2,
        class_=f"{kind}-{shade}" if shade else "nothing",
    )
    text = f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k"  # noqa: PLR2004 - what fits into a cell
    number = element(
        "text",
        text if count else "",
        x=x + _CELL / 2 - 0.75,
        y=y + _CELL / 2 + 3.5,
        text_anchor="middle",
        class_=f"count {kind}-{shade}-text",
    )
    return element("g", square, number)


def _pairs(confusion: Confusion) -> Table:
    """Return the pairs of classes that occur, what is wrong first and most frequent first."""
    counts, labels = confusion.counts, confusion.labels
    pairs = [(int(a), int(b), int(counts[a, b])) for a, b in np.argwhere(counts > 0)]
    pairs.sort(key=lambda pair: (pair[0] == pair[1], -pair[2], pair[0], pair[1]))
    total = np.maximum(counts.sum(axis=1), 1)
    rows = [
        (labels[known], labels[predicted], count, count / int(total[known]))
        for known, predicted, count in pairs[:_MOST_PAIRS]
    ]
    return Table(("known", "predicted", "images", "share of the known"), rows, sortable=True)
