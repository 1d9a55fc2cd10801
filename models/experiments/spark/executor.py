"""What an executor of Spark does: it computes a run over the images that it was sent once."""

import contextlib
import os
import pickle
import platform
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from flumen.models.experiments.computing import Made, compute
from flumen.models.experiments.jobs import Job, Result
from flumen.models.trainers.dense import BLAS_THREADS

Computed = tuple[Result, bytes]
"""What came of a run; and what it has learnt, pickled, or nothing."""


def compute_there(job: Job, archive: str) -> Computed:
    """Compute a run over the images of an archive that Spark has unpacked for all processes of the executor to map."""
    from pyspark import SparkFiles

    here = replace(job, folder=Path(SparkFiles.get(archive)))
    with _one_thread():
        made, result = compute(here, lambda _: None)
    result = replace(result, software={**result.software, "engine": "spark", "executor": platform.node()})
    return result, _pickled(made)


def _pickled(made: Made | None) -> bytes:
    """Return what a run has learnt; nothing where it cannot be sent, which costs its model and not the run."""
    if made is None:
        return b""
    with contextlib.suppress(pickle.PicklingError, TypeError, AttributeError):
        return pickle.dumps(made.trained)
    return b""


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread, as the engine local does, whichever library is loaded by then or later."""
    import scipy.linalg.blas  # noqa: F401 - its threads are limited only once it is there
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    os.environ.update(OMP_NUM_THREADS=str(BLAS_THREADS), OPENBLAS_NUM_THREADS=str(BLAS_THREADS))
    with threadpool_limits(BLAS_THREADS):
        yield
