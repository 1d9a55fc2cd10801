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
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from flumen.models.datasets.arrays import open_arrays
from flumen.models.datasets.dataset import Labelled
from flumen.models.errors import Diverged
from flumen.models.experiments.local.exporting import export, measure
from flumen.models.experiments.local.jobs import READY, Export, Exported, Job, Result
from flumen.models.experiments.run import Round
from flumen.models.trainers.making import software_of
from flumen.models.trainers.trainer import Progress, Task, Trained, Trainer, find_trainer

_WATCH_S = 1.0


Made = tuple[Task, Trainer, Any, Trained, Result, Labelled]


def serve(connection: Connection) -> None:
    """Compute what is asked for until the other end closes the connection or is gone."""
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
        return _computed(job, report, rounds, started)
    except OSError:  # the other end is gone, or the disk: either way nothing can be said of the setting
        raise
    except Exception as error:  # noqa: BLE001 - a trainer may be anybody's, and one run must not end the others
        return None, Result("failed", _since(started), error=f"{type(error).__name__}: {error}")


def _computed(
    job: Job, report: Callable[[Progress], bool], rounds: list[Round], started: float
) -> tuple[Made | None, Result]:
    dataset = open_arrays(job.folder)
    trainer = find_trainer(job.trainer)
    task = Task(dataset.train, dataset.validation, job.labels, job.preprocess, job.seed, report)
    parameters = trainer.parameters(**job.parameters)
    software = {"python": sys.version.split()[0], **software_of(trainer)}
    try:
        trained = trainer.train(task, parameters)
        curves = tuple(map(_round, trained.rounds)) or tuple(rounds)
        result = Result("done", _since(started), curves, software=software)
        result = _measured(result, trained, task, dataset.test)
    except Diverged as error:
        result = Result("diverged", _since(started), tuple(rounds), software=software, error=str(error))
        before: Any = error.before
        with contextlib.suppress(Diverged):  # of weights that are numbers, the answers may be none
            result = result if before is None else _measured(result, before, task, dataset.test)
        return None, result
    return (task, trainer, parameters, trained, result, dataset.test), result


def _measured(result: Result, trained: Trained, task: Task, test: Labelled) -> Result:
    found = measure(trained, test, task)
    chosen_by = None if task.validation is None else measure(trained, task.validation, task).measures
    return replace(
        result,
        validation=chosen_by,
        test=found.measures,
        confusion=found.confusion,
        answers=found.answers,
    )


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
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        serve(Connection(int(sys.argv[1])))
