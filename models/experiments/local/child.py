"""A process that computes runs, one after another: `python -m flumen.models.experiments.local.child FD`.

It knows nothing of stores and repositories: whoever started it claims the runs and keeps what comes of them.
"""

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from flumen.models.datasets.arrays import open_arrays
from flumen.models.datasets.dataset import Labelled
from flumen.models.errors import TrainingFailed
from flumen.models.experiments.local.exporting import export, measure
from flumen.models.experiments.local.jobs import READY, Export, Exported, Job, Result
from flumen.models.experiments.run import Round
from flumen.models.trainers.making import software_of
from flumen.models.trainers.trainer import Progress, Task, Trained, Trainer, find_trainer

_WATCH_S = 1.0


Made = tuple[Task, Trainer, Any, Trained, Result, Labelled]


def serve(connection: Connection) -> None:
    """Compute what is asked for until the other end closes the connection or is gone."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    connection.send(READY)
    made: Made | None = None
    while True:
        asked = connection.recv()
        if isinstance(asked, Job):
            made, result = _result(asked, connection)
            connection.send(result)
        else:
            connection.send(_exported(asked, made))


def _end_with(parent: int) -> None:
    """End where the process that started this one is gone, also in the middle of a run."""
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    os._exit(1)


def _result(job: Job, connection: Connection) -> tuple[Made | None, Result]:
    rounds: list[Round] = []
    started = time.perf_counter()

    def report(progress: Progress) -> bool:
        rounds.append(_round(progress))
        connection.send(rounds[-1])
        return True

    try:
        return _trained(job, report, rounds, started)
    except TrainingFailed as error:
        return None, Result("diverged", _since(started), tuple(rounds), error=str(error))
    except OSError:  # the other end is gone, or the disk: either way nothing can be said of the setting
        raise
    except Exception as error:  # noqa: BLE001 - a trainer may be anybody's, and one run must not end the others
        return None, Result("failed", _since(started), error=f"{type(error).__name__}: {error}")


def _trained(
    job: Job, report: Callable[[Progress], bool], rounds: list[Round], started: float
) -> tuple[Made, Result]:
    dataset = open_arrays(job.folder)
    validation, test = dataset.validation, dataset.test
    trainer = find_trainer(job.trainer)
    task = Task(dataset.train, validation, job.labels, job.preprocess, job.seed, report)
    parameters = trainer.parameters(**job.parameters)
    trained = trainer.train(task, parameters)
    duration_s = _since(started)
    measures, confusion = measure(trained, test, task)
    result = Result(
        "done",
        duration_s,
        tuple(map(_round, trained.rounds)) or tuple(rounds),
        measure(trained, validation, task)[0] if validation is not None else None,
        measures,
        confusion,
        {"python": sys.version.split()[0], **software_of(trainer)},
    )
    return (task, trainer, parameters, trained, result, test), result


def _exported(asked: Export, made: Made | None) -> Exported:
    assert made is not None
    try:
        return export(asked, *made)
    except Exception as error:  # noqa: BLE001 - the result stands, whatever its exporter does
        return Exported(error=f"{type(error).__name__}: {error}")


def _round(progress: Progress) -> Round:
    loss = progress.loss if progress.loss is not None and math.isfinite(progress.loss) else None
    return Round(progress.number, loss, progress.accuracy, round(progress.seconds, 3))


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)


if __name__ == "__main__":
    with contextlib.suppress(EOFError, OSError):
        serve(Connection(int(sys.argv[1])))
