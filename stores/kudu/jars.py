"""The jars of Kudu's Java client, and of Spark for Kudu: what `artifacts.toml` beside this names."""

from collections.abc import Sequence
from pathlib import Path

from flumen.stores.artifacts import Artifact, Progress, missing, resolve, silent

LOCK_FILE = Path(__file__).with_name("artifacts.toml")
GROUP = "kudu-client"
SPARK_GROUP = "kudu-spark"
ARROW_GROUP = "arrow-java"


def client_jars(progress: Progress = silent) -> tuple[Path, ...]:
    """Return the class path of the driver `jvm`, after downloading what is missing of it.

    Raises:
        ArtifactError: a jar cannot be had; the message names it and says what to do.
        FolderUnusable: one is missing, and the cache cannot be written.
    """
    return tuple(resolve(LOCK_FILE, GROUP, progress))


def spark_jars(progress: Progress = silent) -> tuple[Path, ...]:
    """Return what lets Spark read and write Kudu, after downloading what is missing of it. Raises as `client_jars`."""
    return tuple(resolve(LOCK_FILE, SPARK_GROUP, progress))


def arrow_jars(progress: Progress = silent) -> tuple[Path, ...]:
    """Return what has to stand before Spark's own jars on Java 21, after downloading it. Raises as `client_jars`."""
    return tuple(resolve(LOCK_FILE, ARROW_GROUP, progress))


def missing_jars() -> Sequence[Artifact]:
    """Return what is to be downloaded."""
    return missing(LOCK_FILE, GROUP)
