"""Spark over what Kudu holds: models as functions of a DataFrame, images as a DataFrame, answers written back.

Importing its names imports PySpark and pandas, and says where they are missing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flumen.stores.later import imported_when_used

if TYPE_CHECKING:
    from flumen.replay.spark.classifying import ANSWER_TYPE, classify_udf
    from flumen.replay.spark.reading import read_images, read_table
    from flumen.replay.spark.session import spark_session
    from flumen.replay.spark.writing import write_predictions

__all__ = ["ANSWER_TYPE", "classify_udf", "read_images", "read_table", "spark_session", "write_predictions"]

_find = imported_when_used(
    __name__,
    {
        "classifying": ["ANSWER_TYPE", "classify_udf"],
        "reading": ["read_images", "read_table"],
        "session": ["spark_session"],
        "writing": ["write_predictions"],
    },
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        # It says which extra is missing; the others import PySpark as if it were there.
        import_module(f"{__name__}.session")
    return _find(name)
