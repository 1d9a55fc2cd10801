"""A model as a function of a DataFrame's column of images."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyspark.sql.functions import pandas_udf
from pyspark.sql.types import BinaryType, FloatType, IntegerType, StringType, StructField, StructType

from flumen.interceptor import Limits
from flumen.models.repository import Repository
from flumen.replay.spark.scoring import Asked, opened

ANSWER_TYPE = StructType(
    [
        StructField("prediction", IntegerType()),
        StructField("label", StringType()),
        StructField("confidence", FloatType()),
        StructField("probabilities", BinaryType()),
        StructField("embedding", BinaryType()),
        StructField("model", StringType()),
        StructField("model_version", IntegerType()),
        StructField("error", StringType()),
    ]
)
"""What `classify_udf` answers. `probabilities`, one a label, and `embedding`: float32, little-endian."""


def asked_of(
    model: str, repository: Repository | str | os.PathLike[str], limits: Limits | None = None
) -> Asked:
    """Return a model as tasks carry it, with the version that its name or alias means now.

    Raises:
        ModelNotFound: there is no such model, version or alias.
    """
    there = repository if isinstance(repository, Repository) else Repository(repository)
    manifest = there.resolve(model)
    url = there.url if "://" in there.url else str(Path(there.url).absolute())
    return Asked(url, manifest.name, manifest.version, manifest.sha256, limits or Limits())


def classify_udf(
    model: str, *, repository: Repository | str | os.PathLike[str], limits: Limits | None = None
) -> Any:
    """Return a function of a column of images (BINARY: files as they were published) that answers with `ANSWER_TYPE`.

    The answers are those of the live path, bit for bit: images are decoded as a worker does it, within `limits`, and
    put to the model by the same code. An image that cannot be decoded, or to which the model gives no answer, has the
    reason as `error`, and null as prediction, label, confidence, probabilities and embedding; the last is null as well
    where the model names none. Each Python process of an executor reads the model from the repository once, and
    verifies it.

    Args:
        model: `NAME@VERSION`, `NAME@ALIAS` or `NAME`; the version is settled here, not by the executors.
        repository: a folder, or an fsspec URL, that the driver and all executors reach under that name.
        limits: of decoding.

    Raises:
        ModelNotFound: there is no such model, version or alias.
    """
    asked = asked_of(model, repository, limits)

    def classified(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        scorer = opened(asked)
        for images in batches:
            contents = pa.array([None if image is None else bytes(image) for image in images], pa.binary())
            yield pd.concat([_frame(answers) for answers in scorer.answers(contents)] or [_nothing()])

    return pandas_udf(classified, ANSWER_TYPE)


def _frame(answers: pa.RecordBatch) -> pd.DataFrame:
    # Objects, as pandas has no null among its numbers.
    columns = {name: pd.Series(answers.column(name).to_pylist(), dtype=object) for name in ANSWER_TYPE.names}
    return pd.DataFrame(columns)


def _nothing() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([], dtype=object) for name in ANSWER_TYPE.names})
