"""SQL over what Kudu holds, computed by Spark: for what outgrows one machine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import AnalysisException, ParseException

from flumen.models.experiments.spark.context import reason_of
from flumen.replay.errors import BadQuery, SparkFailed
from flumen.replay.spark.failures import translated
from flumen.replay.spark.reading import arrow_schema, read_table
from flumen.replay.sql.querying import unique_names
from flumen.replay.sql.scans import BEFORE_HISTORY, TABLES, no_history, no_tables
from flumen.replay.sql.views import views
from flumen.stores.kudu import KuduOptions

_READS = frozenset(
    {
        "ShowTables",
        "ShowColumns",
        "DescribeRelation",
        "DescribeColumn",
        "DescribeQueryCommand",
        "ExplainCommand",
        # And as what the analysis makes of them.
        "ShowTablesCommand",
        "ShowColumnsCommand",
        "DescribeTableCommand",
        "DescribeColumnCommand",
    }
)
"""Of Spark's commands, those that only tell."""

_COMMAND = "org.apache.spark.sql.catalyst.plans.logical.Command"
_STATEMENT = "org.apache.spark.sql.catalyst.plans.logical.ParsedStatement"
_INTO_FILES = "org.apache.spark.sql.catalyst.plans.logical.InsertIntoDir"
_SCRIPT = "ScriptTransformation"
_CALLING = ("reflect", "java_method")
"""Functions that call whatever method of Java they are told."""

_BATCH = "flumen batch"


class SparkBatches(Iterator[pa.RecordBatch]):
    """What a query returns: `schema`, with unique names, and batches of it, a part of the result in memory at once."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame.toDF(*unique_names(frame.columns))
        self.schema: pa.Schema = arrow_schema(self._frame)
        self._rows: Iterator[Any] | None = None

    def __next__(self) -> pa.RecordBatch:
        with _answered():
            if self._rows is None:
                packed = self._frame.mapInArrow(_packed, f"`{_BATCH}` binary")
                self._rows = iter(packed.toLocalIterator(prefetchPartitions=True))
            row = next(self._rows)
        rows = pa.ipc.open_stream(row[0]).read_next_batch()
        columns = [column.cast(field.type) for column, field in zip(rows.columns, self.schema, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


@contextmanager
def query_on_spark(
    spark: Any, options: KuduOptions, tables: Sequence[str], sql: str, at_us: int | None = None
) -> Iterator[SparkBatches]:
    """Run one read-only statement of Spark's SQL over Kudu's tables and the views of `flumen sql`.

    Args:
        spark: a Spark session with Kudu's connector; the statement gets one of its own beside it.
        options: where Kudu is, and the prefix of its tables.
        tables: those that are there, without the prefix.
        sql: SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW or EXPLAIN.
        at_us: the tables as they were then, in whole milliseconds; as they are, if None.

    Whoever reads the batches meets the same errors.

    Raises:
        BadQuery: another statement, or one that Spark refuses; or there are no tables.
        NoSuchMoment: Kudu's history does not reach back to `at_us`.
        SparkFailed: Spark or Kudu has failed.
    """
    there = [name for name in TABLES if name in tables]
    if not there:
        raise no_tables()
    own = spark.newSession()
    own.conf.set("spark.sql.runSQLOnFiles", "false")
    own.conf.set("spark.sql.session.timeZone", "UTC")
    registry = own._jsparkSession.sessionState().functionRegistry()
    for name in _CALLING:
        registry.dropFunction(own._jvm.org.apache.spark.sql.catalyst.FunctionIdentifier(name))
    schemas = {}
    for name in there:
        frame = read_table(own, options, name, at_us)
        schemas[name] = arrow_schema(frame)
        frame.createOrReplaceTempView(name)
    for view in views(schemas):
        own.sql(view.sql).createOrReplaceTempView(view.name)
    with _answered():
        check_read_only(own, sql)
        frame = own.sql(sql)
    try:
        yield SparkBatches(frame)
    finally:
        for name in (*schemas, *(view.name for view in views(schemas))):
            own.catalog.dropTempView(name)


def check_read_only(spark: Any, sql: str) -> None:
    """Accept one statement that only reads.

    Raises:
        BadQuery: another one, or one that calls a program.
    """
    state = spark._jsparkSession.sessionState()
    parsed = state.sqlParser().parsePlan(sql)
    for plan in _plans(parsed):
        _check_kind(plan, (_COMMAND, _STATEMENT, _INTO_FILES))
        # Whose queries stand within expressions as well, which are no children of a plan.
        if any(line.lstrip(" :+-'").startswith(_SCRIPT) for line in plan.treeString().splitlines()):
            raise BadQuery("TRANSFORM is refused: it runs a program")
    # Whatever a statement does beside answering, Spark does because its analysis has made a command of it.
    skip = spark._jvm.org.apache.spark.sql.execution.CommandExecutionMode.SKIP()
    for plan in _plans(state.executePlan(parsed, skip).analyzed()):
        _check_kind(plan, (_COMMAND,))


def _check_kind(plan: Any, refused: Sequence[str]) -> None:
    kind = plan.getClass()
    loaded = [kind.getClassLoader().loadClass(name) for name in refused]
    if any(each.isInstance(plan) for each in loaded) and kind.getSimpleName() not in _READS:
        raise BadQuery(
            f"{kind.getSimpleName()} is refused: only SELECT, WITH, DESCRIBE, SHOW and EXPLAIN are run here"
        )


def _plans(plan: Any) -> Iterator[Any]:
    waiting = [plan]
    while waiting:
        each = waiting.pop()
        yield each
        if each.getClass().getSimpleName() == "ExplainCommand":
            waiting.append(each.logicalPlan())
        children = each.children()
        waiting += [children.apply(place) for place in range(children.size())]


def _packed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        yield pa.RecordBatch.from_pydict({_BATCH: pa.array([sink.getvalue().to_pybytes()], pa.binary())})


@contextmanager
def _answered() -> Iterator[None]:
    try:
        with translated():
            yield
    except SparkFailed as error:
        if isinstance(error.__cause__, ParseException | AnalysisException):
            raise BadQuery(f"Spark's SQL: {reason_of(error.__cause__)}") from error
        if isinstance(error.__cause__, Py4JError) and BEFORE_HISTORY in str(error.__cause__):
            raise no_history() from error
        raise
