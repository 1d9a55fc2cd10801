"""The views beside Kudu's tables: the article's table, and every answer that a model gave, wherever it stands."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

# The article's table: the images that this model has answered, under the article's column names.
ARTICLE_MODEL = "mnist"
ARTICLE_COLUMNS = {
    "id": "id",
    "image_as_png": "image",
    "image_as_pgm": "image_as_pgm",
    "prediction": "prediction",
    "knownlabel": "knownlabel",
}
ANSWER_COLUMNS = (
    "id",
    "model",
    "model_version",
    "prediction",
    "confidence",
    "probabilities",
    "classified_at",
)
_SAME_ANSWER = "p.id = i.id AND p.model = i.model AND p.model_version = i.model_version"


@dataclass(frozen=True, slots=True)
class View:
    """One view: its columns, and the statement that it stands for."""

    name: str
    columns: tuple[str, ...]
    sql: str


def views(schemas: Mapping[str, pa.Schema]) -> tuple[View, ...]:
    """Return the views that tables of these columns allow; a chain that does not classify allows none."""
    if "images" not in schemas:
        return ()
    images = set(schemas["images"].names)
    found = []
    if {"model", *ARTICLE_COLUMNS.values()} <= images:
        found.append(View("mnist", tuple(ARTICLE_COLUMNS), _article()))
    if {"model", "model_version", "prediction"} <= images and "predictions" in schemas:
        found.append(View("answers", ANSWER_COLUMNS, _answers(images)))
    return tuple(found)


def _article() -> str:
    columns = ", ".join(f"{ours} AS {theirs}" for theirs, ours in ARTICLE_COLUMNS.items())
    return f"SELECT {columns} FROM images WHERE model = '{ARTICLE_MODEL}'"  # noqa: S608 - our own constants


def _answers(images: set[str]) -> str:
    """Return the answers of images, and those that stand in `predictions` alone.

    Earlier versions wrote an image's own answer into both tables, and its probabilities into `predictions` alone.
    """
    own = {name: f"i.{name}" if name in images else f"p.{name}" for name in ANSWER_COLUMNS}
    if "probabilities" in images:
        own["probabilities"] = "coalesce(i.probabilities, p.probabilities)"
    of_images = ", ".join(f"{value} AS {name}" for name, value in own.items())
    of_predictions = ", ".join(f"p.{name}" for name in ANSWER_COLUMNS)
    # Our own constants: nothing here comes from a query.
    return (
        f"SELECT {of_images} FROM images i LEFT JOIN predictions p ON {_SAME_ANSWER} "  # noqa: S608
        "WHERE i.model IS NOT NULL AND i.model_version IS NOT NULL "
        f"UNION ALL SELECT {of_predictions} FROM predictions p LEFT JOIN images i ON {_SAME_ANSWER} "
        "WHERE i.id IS NULL"
    )
