"""Answers from a DataFrame into the table `predictions`."""

from typing import Any

from pyspark.sql import functions as f

from flumen.replay.errors import BadQuery
from flumen.replay.spark.failures import translated
from flumen.replay.spark.reading import read_table
from flumen.stores.kudu import KuduAnswers, KuduOptions

_NEEDED = ("id", "model", "model_version", "prediction", "confidence", "probabilities")


def write_predictions(answers: Any, options: KuduOptions, *, classified_at_us: int | None = None) -> None:
    """Upsert answers into `predictions`, which is made where it is not there: a row for an image, model and version.

    The same answers twice are the same rows once, so a job that was lost is just run again. Rows without a prediction
    are left out: there an image could not be answered.

    Args:
        answers: a DataFrame with `id` and the columns of `classify_udf`'s answer (`select("id", "answer.*")`), and
            `classified_at`, if it has one.
        options: where Kudu is, and the prefix of its tables.
        classified_at_us: when they were made, microseconds since the epoch, for all; that of the DataFrame, else now,
            if None.

    Raises:
        BadQuery: a column is missing.
        SparkFailed: what makes the answers fails, or Kudu does not take them.
        StoreError: Kudu does not answer, or its table has other columns.
    """
    for name in _NEEDED:
        if name not in answers.columns:
            raise BadQuery(
                f"answers have no column {name!r}; they need {', '.join(_NEEDED)}: "
                'images.select("id", classify("image").alias("answer")).select("id", "answer.*")'
            )
    _ensure_table(options)
    table = read_table(answers.sparkSession, options, "predictions")
    types = {field.name: field.dataType for field in table.schema}
    if classified_at_us is not None:
        answers = answers.withColumn("classified_at", f.timestamp_micros(f.lit(classified_at_us)))
    elif "classified_at" not in answers.columns:
        answers = answers.withColumn("classified_at", f.current_timestamp())
    rows = answers.filter(f.col("prediction").isNotNull())
    rows = rows.select(*(f.col(name).cast(types[name]) for name in (*_NEEDED, "classified_at")))
    writer = rows.write.format("kudu").mode("append").option("kudu.operation", "upsert")
    writer = writer.option("kudu.master", options.masters)
    with translated():
        writer.option("kudu.table", f"{options.table_prefix}predictions").save()


def _ensure_table(options: KuduOptions) -> None:
    table = KuduAnswers(options)
    table.connect()
    table.close()
