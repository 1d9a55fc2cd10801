"""A Spark session that reads and writes Kudu, and that knows Arrow also on Java 21."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flumen.models.errors import ExtraMissing
from flumen.models.experiments.spark.context import find_programs, java_release, spark_context
from flumen.stores.kudu.jars import arrow_jars, spark_jars

try:
    import pandas  # noqa: F401 - pyspark wants it for what goes over Arrow, and asks for it late
    from pyspark.sql import SparkSession
except ImportError as error:
    raise ExtraMissing(
        "Spark needs pandas, which is not installed: pip install 'flumen-ingest[spark]'"
    ) from error

LAST_WITH_OLD_ARROW = 17
"""The last Java on which the Arrow runs that Spark 3.5 brings."""

BATCH_ROWS = 500
"""Rows that go to Python at once: of images of 60 KiB, 30 MB."""


@contextlib.contextmanager
def spark_session(master: str | None = None) -> Iterator[Any]:
    """Open a Spark session, or use the process's own, as in a notebook; one that was opened is stopped at the end.

    An own one has what is needed already, or was started with the settings that docs/spark.md lists.

    Args:
        master: as Spark names it: `local[4]`, `spark://HOST:7077`, `yarn`; that of Spark's configuration, if None.

    Raises:
        EngineUnavailable: Spark does not start, or the master does not answer.
        ArtifactError: a jar cannot be had.
    """
    find_programs()
    newer_arrow = (java_release() or 0) > LAST_WITH_OLD_ARROW
    settings = configuration(spark_jars(), arrow_jars() if newer_arrow else ())
    with spark_context(master, settings):
        yield SparkSession.builder.getOrCreate()


def configuration(jars: Sequence[Path], first: Sequence[Path]) -> Mapping[str, str]:
    """Return Spark's settings: `jars` are sent to executors, `first` stands before Spark's own where it is there."""
    settings = {
        "spark.app.name": "flumen",
        "spark.jars": ",".join(map(str, jars)),
        # Another try is worth it: what a task has written already is upserted once more.
        "spark.task.maxFailures": "4",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH_ROWS),
    }
    if first:
        path = os.pathsep.join(map(str, first))
        settings |= {"spark.driver.extraClassPath": path, "spark.executor.extraClassPath": path}
    return settings
