"""Kudu's tables as DataFrames: columns that are needed, conditions that Kudu tests, images put together again."""

import itertools
import operator
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa
from pyspark.sql import functions as f
from pyspark.sql.pandas.types import to_arrow_schema

from flumen.replay.errors import BadQuery
from flumen.replay.spark.failures import translated
from flumen.replay.sql.where import Condition
from flumen.stores.kudu import KuduOptions, Predicate

_COMPARE = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_ROW = "flumen row"
_MS_US = 1000


@dataclass(frozen=True, slots=True)
class _Cut:
    """A column of bytes that may be cut into chunks: how many a row has, where they are, and their sha256."""

    column: str
    counts: str
    table: str
    sha256: str | None = None


_CUT = (_Cut("image", "chunks", "image_chunks", "sha256"), _Cut("image_as_pgm", "view_chunks", "view_chunks"))


def snapshot_now_us() -> int:
    """Return this moment as Kudu's connector for Spark can name it: microseconds, in whole milliseconds."""
    return time.time_ns() // 1_000_000 * _MS_US


def read_table(spark: Any, options: KuduOptions, table: str, at_us: int | None = None) -> Any:
    """Return a table as a DataFrame; Spark hands the columns and conditions that it can to Kudu.

    Args:
        spark: a Spark session with Kudu's connector.
        options: where Kudu is, and the prefix of its tables.
        table: its name without the prefix.
        at_us: the table as it was then: microseconds since the epoch, by Kudu's clocks, of which whole milliseconds
            count. As it is when it is read, if None.

    Raises:
        SparkFailed: there is no such table, Kudu does not answer, or the session has no connector.
    """
    reader = spark.read.format("kudu").option("kudu.master", options.masters)
    reader = reader.option("kudu.table", options.table_prefix + table)
    if at_us is not None:
        reader = reader.option("kudu.snapshotTimestampMs", str(at_us // _MS_US))
    with translated():
        return reader.load()


def read_images(
    spark: Any,
    options: KuduOptions,
    *,
    where: str = "",
    columns: Sequence[str] = (),
    at_us: int | None = None,
    since_us: int | None = None,
) -> Any:
    """Return the images as a DataFrame, as they were at one moment.

    `image` and `image_as_pgm` are whole, also where Kudu holds them in chunks; null where chunks are missing, or are
    those of another image that is being written under the id. Nothing is read before Spark is asked for rows.

    Args:
        spark: a Spark session with Kudu's connector.
        options: where Kudu is, and the prefix of its tables.
        where: a condition in the language of `flumen sql`. Kudu tests of it what it can; the rest is computed by
            DuckDB in Spark's tasks, so that it means what it means elsewhere.
        columns: those that are wanted, all if empty; only what is needed is read.
        at_us: the moment: microseconds since the epoch, by Kudu's clocks, in whole milliseconds; now if None.
        since_us: those alone that arrived then or later (`ingested_at`).

    Raises:
        BadQuery: the condition is none, or a column is not there.
        SparkFailed: Kudu does not answer, or the session has no connector.
    """
    at_us = snapshot_now_us() if at_us is None else at_us
    table = read_table(spark, options, "images", at_us)
    schema = arrow_schema(table)
    wanted = list(columns) or list(schema.names)
    for name in [*wanted, *(["ingested_at"] if since_us is not None else [])]:
        if name not in schema.names:
            raise BadQuery(f"the images have no column {name!r}; they have {', '.join(schema.names)}")
    condition = Condition(where, schema) if where else None
    predicates = list(condition.predicates) if condition else []
    if since_us is not None:
        predicates.append(Predicate("ingested_at", ">=", (since_us,)))
    cut = [each for each in _CUT if each.column in wanted and each.counts in schema.names]
    beside = [name for each in cut for name in (each.counts, each.sha256) if name and name in schema.names]
    needed = dict.fromkeys(["id", *wanted, *beside, *(condition.columns if condition else ())])
    rows = tested(table, predicates).select(*map(_quoted, needed))

    def part(tests: Iterable[tuple[_Cut, bool]]) -> Any:
        """Return the rows that are cut so: as a condition of its own on each count, Kudu tests it."""
        found = rows
        chosen = list(tests)
        for each, is_cut in chosen:
            found = found.filter(f.col(each.counts) > 0 if is_cut else f.col(each.counts) == 0)
        if condition:
            found = found.mapInArrow(_kept(where, condition.columns, schema), found.schema)
        for each, is_cut in chosen:
            if is_cut:
                found = _restored(found, each, read_table(spark, options, each.table, at_us), schema)
        return found.select(*map(_quoted, wanted))

    parts = [
        part(zip(cut, tests, strict=True)) for tests in itertools.product([False, True], repeat=len(cut))
    ]
    return reduce(lambda one, other: one.unionByName(other), parts)


def arrow_schema(table: Any) -> pa.Schema:
    """Return a DataFrame's columns as `KuduReader.schema` has them: times without a zone, in UTC."""
    return pa.schema(
        field.with_type(pa.timestamp("us")) if pa.types.is_timestamp(field.type) else field
        for field in to_arrow_schema(table.schema)
    )


def tested(table: Any, predicates: Sequence[Predicate]) -> Any:
    """Return the rows of a DataFrame that meet these predicates, written so that Spark hands them to Kudu."""
    types = {field.name: field.dataType for field in table.schema}

    def constant(column: str, value: Any) -> Any:
        # Of the column's own type: else Spark casts the column, and Kudu tests nothing.
        is_time = types[column].typeName() == "timestamp"
        return f.timestamp_micros(f.lit(value)) if is_time else f.lit(value).cast(types[column])

    for each in predicates:
        column = f.col(_quoted(each.column))
        if each.operator == "is null":
            table = table.filter(column.isNull())
        elif each.operator == "is not null":
            table = table.filter(column.isNotNull())
        elif each.operator == "in":
            table = table.filter(column.isin([constant(each.column, value) for value in each.values]))
        else:
            table = table.filter(_COMPARE[each.operator](column, constant(each.column, each.values[0])))
    return table


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _kept(
    where: str, columns: Sequence[str], schema: pa.Schema
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return what keeps, of the batches of a task, the rows that meet the condition."""

    def kept(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        condition = Condition(where, schema)
        for batch in batches:
            read = [batch.column(name).cast(schema.field(name).type) for name in columns]
            numbers = pa.array(range(batch.num_rows), pa.int32())
            asked = pa.RecordBatch.from_arrays([*read, numbers], names=[*columns, _ROW])
            try:
                (answered,) = condition.kept([asked])
            except BadQuery as error:
                # In one line: of what a task raises, Spark's driver is told the last one.
                raise BadQuery(" ".join(str(error).split())) from None
            yield batch.take(answered.column(_ROW))

    return kept


def _restored(rows: Any, cut: _Cut, chunks: Any, schema: pa.Schema) -> Any:
    """Return rows whose bytes are in chunks with these put together; null where they are not all there, or others'."""
    count, pieces = f"flumen {cut.counts}", f"flumen {cut.column}"
    counted = rows.select("id", f.col(cut.counts).alias(count))
    # An image that shrank leaves chunks behind its last one.
    found = chunks.join(counted, "id").filter(f.col("seq") < f.col(_quoted(count))).groupBy("id")
    found = found.agg(f.sort_array(f.collect_list(f.struct("seq", "data"))).alias(pieces))
    ordered = f.col(_quoted(pieces))
    whole = f.aggregate(ordered, f.lit(b""), lambda begun, piece: f.concat(begun, piece["data"]))
    is_whole = f.size(ordered) == f.col(cut.counts)
    if cut.sha256 in schema.names:
        # Chunks are written before the row that names them.
        told = f.col(cut.sha256)
        is_whole &= told.isNull() | (f.sha2(whole, 256) == told)
    return rows.join(found, "id", "left").withColumn(cut.column, f.when(is_whole, whole)).drop(pieces)
