"""Answers that a row of `images` is about to lose: they go into `predictions` first."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from flumen.stores.kudu.driver import Change, Driver, Write
from flumen.stores.kudu.rows import Part
from flumen.stores.kudu.schema import Table
from flumen.stores.kudu.writing import flush

_AnswerKey = tuple[str, str | None, int | None]
"""An image's id, which model answered, and which version of it."""


def keep_superseded(driver: Driver, images: Table, predictions: Table, rows: pa.RecordBatch) -> None:
    """Copy the answers that rows of `images` hold, and that these rows, which are not stored yet, take the place of.

    One of the same model and version is no loss: it is the same answer, delivered again. Kudu cannot compare and set:
    where two workers store one image at once by two models, neither sees the other's answer, and one of them is lost.
    """
    if not {"model", "model_version"} <= set(images.arrow.names):
        return
    names = [name for name in predictions.arrow.names if name in images.arrow.names]
    former = driver.find(images.name, names, list(dict.fromkeys(rows.column("id").to_pylist())))
    kept = set(_answers(rows))
    lost = [
        row
        for row, answer in enumerate(_answers(former))
        if answer not in kept and None not in answer  # where no model answered, there is nothing to lose
    ]
    flush(driver, list(kept_parts(predictions, former.take(pa.array(lost, pa.int32())))))


def _answers(rows: pa.RecordBatch) -> list[_AnswerKey]:
    columns = (rows.column(name).to_pylist() for name in ("id", "model", "model_version"))
    return list(zip(*columns, strict=True))


def kept_parts(predictions: Table, former: pa.RecordBatch) -> Iterator[Part]:
    """Yield the rows for `predictions` that keep answers; `former` has those of its columns that are known.

    Where an earlier version of flumen stored an image, its probabilities stand there already, and nowhere else: such an
    answer is only added if it is not there. So is that of a classifier which gives no probabilities: where one version
    answers twice, before and after another, the first stays.
    """
    there = former.schema.names
    columns = [
        former.column(field.name) if field.name in there else pa.nulls(len(former), field.type)
        for field in predictions.arrow
    ]
    rows = pa.RecordBatch.from_arrays(columns, schema=predictions.arrow)
    is_whole = rows.column("probabilities").is_valid()
    changes: dict[Change, pa.BooleanArray] = {"upsert": is_whole, "insert": pc.invert(is_whole)}
    for change, chosen in changes.items():
        write = Write(predictions.name, rows.filter(chosen), change)
        yield Part(write, range(write.rows.num_rows))
