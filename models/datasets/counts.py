"""How many images a data set has, by part and class: for people."""

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from flumen.models.datasets.split import PARTS

if TYPE_CHECKING:
    from flumen.models.datasets.dataset import Dataset, Labelled

ALL = "all"


def parts_of(dataset: "Dataset") -> Mapping[str, "Labelled"]:
    """Return the parts that there are: `train`, perhaps `validation`, `test`."""
    found = zip(PARTS, (dataset.train, dataset.validation, dataset.test), strict=True)
    return {part: images for part, images in found if images is not None}


def class_names(dataset: "Dataset") -> tuple[str, ...]:
    """Return the names of the classes, position = label; of those without any their numbers."""
    highest = max(int(images.labels.max()) for images in parts_of(dataset).values())
    return dataset.labels or tuple(map(str, range(highest + 1)))


def class_counts(dataset: "Dataset") -> list[dict[str, str | int]]:
    """Return a row for each class, and one for all: `class`, and how many images of it each part has."""
    names = class_names(dataset)
    counts = {
        part: np.bincount(images.labels, minlength=len(names)).tolist()
        for part, images in parts_of(dataset).items()
    }
    rows: list[dict[str, str | int]] = [
        {"class": name, **{part: of_class[number] for part, of_class in counts.items()}}
        for number, name in enumerate(names)
    ]
    return [*rows, {"class": ALL, **{part: sum(of_class) for part, of_class in counts.items()}}]


def as_html(dataset: "Dataset") -> str:
    """Return what a notebook shows of a data set: what it is, its counts, its fingerprint, what was left out."""
    rows = class_counts(dataset)
    heads = "".join(f"<th>{name}</th>" for name in rows[0])
    cells = "".join(
        f"<tr><th>{escape(str(row['class']))}</th>{''.join(f'<td>{row[part]:,}</td>' for part in list(row)[1:])}</tr>"
        for row in rows
    )
    left_out = "".join(f"<li>{escape(str(each))}</li>" for each in dataset.skipped)
    return (
        f"<p><b>{escape(dataset.fingerprint.text)}</b><br><small>fingerprint {dataset.fingerprint.sha256}</small></p>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table>"
        + (f"<p>Left out:</p><ul>{left_out}</ul>" if left_out else "")
    )
