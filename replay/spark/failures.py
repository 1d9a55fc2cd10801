"""Spark's exceptions, of which there are many, as one error of ours."""

import contextlib
from collections.abc import Iterator

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from flumen.models.experiments.spark.context import reason_of
from flumen.replay.errors import BadQuery, SparkFailed

_NO_CONNECTOR = "data source: kudu"
_BAD_QUERY = f"{BadQuery.__module__}.{BadQuery.__qualname__}: "


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise what Spark raises as an error of ours.

    Raises:
        BadQuery: a task has found that a condition cannot be computed.
        SparkFailed: the message has the line of Spark's that says why.
    """
    try:
        yield
    except (Py4JError, PySparkException) as error:
        reason = reason_of(error)
        if _BAD_QUERY in reason:
            raise BadQuery(reason.partition(_BAD_QUERY)[2]) from error
        if _NO_CONNECTOR in reason:
            reason = (
                f"this Spark session has no connector to Kudu ({reason}). Open it with flumen.replay.spark."
                "spark_session, or start it with the jars that docs/spark.md names"
            )
        raise SparkFailed(f"Spark has failed: {reason}") from error
