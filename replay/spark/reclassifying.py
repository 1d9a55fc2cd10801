"""Putting stored images to another model on a Spark cluster: the same rows as one process writes."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import functions as f
from pyspark.sql.types import StructField

from flumen.interceptor import Preprocess
from flumen.interceptor.decoding import raster_shape
from flumen.interceptor.pgm import netpbm_header
from flumen.replay.images.seen import PictureOf
from flumen.replay.reclassify.parts import Counts
from flumen.replay.reclassify.working import DELETED
from flumen.replay.scoring import Choice
from flumen.replay.scoring.sample import Sample
from flumen.replay.spark.classifying import ANSWER_TYPE
from flumen.replay.spark.failures import translated
from flumen.replay.spark.reading import read_images
from flumen.replay.spark.scoring import Asked, opened
from flumen.replay.spark.writing import write_predictions
from flumen.stores.corrections import CurrentCorrections
from flumen.stores.kudu import KuduOptions, KuduReclassifications

_ANSWER = ("model", "model_version", "prediction", "confidence", "probabilities", "reason")
_OF_IMAGE = ("id", "own_model", "own_version", "image", "view")


@dataclass(frozen=True, slots=True)
class Reclassification:
    """Images of a moment that are put to a model. `picture_of`: see `flumen.replay.images.seen.known_pictures`."""

    asked: Asked
    preprocess: Preprocess
    picture_of: PictureOf | None
    choice: Choice
    at_us: int


def answered_by(spark: Any, options: KuduOptions, work: Reclassification) -> Sequence[tuple[str, int]]:
    """Return the models and versions that the chosen images have answers of.

    Raises:
        BadQuery: the condition is none.
        SparkFailed: Kudu cannot be read.
    """
    chosen = _chosen(spark, options, work, ["model", "model_version"]).dropna().distinct()
    with translated():
        return sorted((row.model, row.model_version) for row in chosen.collect())


def reclassify(
    spark: Any,
    options: KuduOptions,
    work: Reclassification,
    answered: Sequence[tuple[str, int]],
    corrections: CurrentCorrections,
) -> Counts:
    """Write what the model says of the images into `predictions`, as `flumen.replay.reclassify.working.work` does.

    Raises:
        BadQuery: the condition is none, or cannot be computed.
        SparkFailed: Spark or Kudu has failed. Nothing has to be undone: run it again.
        StoreError: Kudu does not answer.
    """
    deleted = corrections.deleted()
    answers = _answers(spark, options, work, answered)
    # Small, as images are not among them, and wanted twice: to be written and to be counted.
    answers = answers.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        kept = _without(spark, answers, deleted)
        write_predictions(kept.filter("not own"), options, classified_at_us=work.at_us)
        gone = _among(spark, answers, corrections.deleted())
        if gone:
            # Those that were deleted meanwhile, and what a job had written that was killed before it looked.
            _remove(options, gone)
        return _counts(spark, answers, gone)
    finally:
        with translated():
            answers.unpersist()


def _chosen(spark: Any, options: KuduOptions, work: Reclassification, columns: Sequence[str]) -> Any:
    choice = work.choice
    return read_images(
        spark, options, where=choice.where, columns=columns, at_us=work.at_us, since_us=choice.since_us
    )


def _answers(
    spark: Any, options: KuduOptions, work: Reclassification, answered: Sequence[tuple[str, int]]
) -> Any:
    """Return a row an image: the id, whether its own answer is by this model, the answer, or the reason why not."""
    alike = [
        each for each in answered if work.picture_of and work.picture_of(*each) == work.preprocess.picture
    ]
    columns = ["id", "model", "model_version", "image", *(["image_as_pgm"] if alike else [])]
    images = _chosen(spark, options, work, columns)
    if work.choice.sample is not None:
        sample = Sample(work.choice.sample)
        with translated():
            sample.show(row.id for row in _chosen(spark, options, work, ["id"]).toLocalIterator())
            images = images.join(
                spark.createDataFrame([(each,) for each in sample.ids], "id string"), "id", "semi"
            )
    images = images.select(*_with_view(alike, work.preprocess))
    schema = images.select("id").schema.add("own", "boolean")
    for field in ANSWER_TYPE:
        if field.name in _ANSWER:
            schema = schema.add(field)
    schema = schema.add(StructField("reason", ANSWER_TYPE["error"].dataType))
    return images.mapInArrow(_score(work.asked), schema)


def _with_view(alike: Sequence[tuple[str, int]], preprocess: Preprocess) -> list[Any]:
    """Return the columns of `_OF_IMAGE`: what was seen where it fits, and else the original."""
    own = [f.col("id"), f.col("model").alias("own_model"), f.col("model_version").alias("own_version")]
    if not alike:
        return [*own, f.col("image"), f.lit(None).cast("binary").alias("view")]
    header = netpbm_header(preprocess.width, preprocess.height, preprocess.channels)
    size = len(header) + int(np.prod(raster_shape(preprocess)))
    view = f.col("image_as_pgm")
    by_alike = f.lit(False)
    for model, version in alike:
        by_alike |= (f.col("model") == model) & (f.col("model_version") == version)
    fits = by_alike & (f.length(view) == size) & (f.substring(view, 1, len(header)) == f.lit(header))
    fits = f.coalesce(fits, f.lit(False))
    return [*own, f.when(~fits, f.col("image")).alias("image"), f.when(fits, view).alias("view")]


def _score(asked: Asked) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        scorer = opened(asked)
        for batch in batches:
            ids, models, versions, images, views = (batch.column(name) for name in _OF_IMAGE)
            own = [
                (model, version) == (asked.name, asked.version)
                for model, version in zip(models.to_pylist(), versions.to_pylist(), strict=True)
            ]
            begin = 0
            for answers in scorer.answers(images, views):
                count = answers.num_rows
                told = [ids.slice(begin, count), pa.array(own[begin : begin + count])]
                told += [answers.column(name) for name in _FIELDS]
                yield pa.RecordBatch.from_arrays(told, names=["id", "own", *_FIELDS])
                begin += count

    return score


_FIELDS = (*(name for name in ANSWER_TYPE.names if name in _ANSWER), "reason")


def _without(spark: Any, answers: Any, ids: Collection[str]) -> Any:
    if not ids:
        return answers
    return answers.join(spark.createDataFrame([(each,) for each in ids], "id string"), "id", "anti")


def _among(spark: Any, answers: Any, ids: Collection[str]) -> Collection[str]:
    """Return which of these ids are among the answers."""
    if not ids:
        return ()
    named = spark.createDataFrame([(each,) for each in ids], "id string")
    with translated():
        return [row.id for row in answers.select("id").join(named, "id", "semi").collect()]


def _remove(options: KuduOptions, ids: Collection[str]) -> None:
    table = KuduReclassifications(options)
    try:
        table.remove_answers(sorted(ids))
    finally:
        table.close()


def _counts(spark: Any, answers: Any, deleted: Collection[str]) -> Counts:
    left = _without(spark, answers, deleted)
    with translated():
        rows = left.groupBy("own", "reason").count().collect()
        total = answers.count()
    left_out = Counter[str]()
    answered = same = 0
    for row in rows:
        if row.reason is not None:
            left_out[row.reason] += row["count"]
        elif row.own:
            same += row["count"]
        else:
            answered += row["count"]
    gone = total - sum(row["count"] for row in rows)
    if gone:
        left_out[DELETED] = gone
    return Counts(total, answered, same, tuple(sorted(left_out.items())))
