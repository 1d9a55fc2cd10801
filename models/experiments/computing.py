"""Computing one run, wherever that is: in a process of this machine, or in one of Spark's.

It knows nothing of stores and repositories: whoever gave the job claims the runs and keeps what comes of them.
"""

import contextlib
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flumen.models.datasets.arrays import open_arrays
from flumen.models.datasets.dataset import Labelled
from flumen.models.errors import Diverged
from flumen.models.experiments.exporting import export, measure
from flumen.models.experiments.jobs import Export, Exported, Job, Result
from flumen.models.experiments.run import Round
from flumen.models.trainers.making import software_of
from flumen.models.trainers.trainer import Progress, Task, Trained, Trainer, find_trainer


@dataclass(frozen=True, slots=True)
class Made:
    """A run that is done, with all that its model is made of. `test`: the images to test on."""

    task: Task
    trainer: Trainer
    parameters: Any
    trained: Trained
    result: Result
    test: Labelled

    def export(self, asked: Export) -> Exported:
        """Return its model, or why there is none: the result stands, whatever its exporter does."""
        try:
            return export(
                asked, self.task, self.trainer, self.parameters, self.trained, self.result, self.test
            )
        except Exception as error:  # noqa: BLE001 - a trainer may be anybody's
            return Exported(error=f"{type(error).__name__}: {error}")


def compute(job: Job, report: Callable[[Round], None]) -> tuple[Made | None, Result]:
    """Return what came of a run, and what its model is made of where it is done. `report` is told of each round.

    Raises:
        OSError: whoever is told is gone, or the disk: either way nothing can be said of the setting.
    """
    rounds: list[Round] = []
    started = time.perf_counter()

    def take(progress: Progress) -> bool:
        rounds.append(round_of(progress))
        report(rounds[-1])
        return True

    try:
        return _computed(job, take, rounds, started)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - a trainer may be anybody's, and one run must not end the others
        return None, Result("failed", _since(started), error=f"{type(error).__name__}: {error}")


def _computed(
    job: Job, take: Callable[[Progress], bool], rounds: list[Round], started: float
) -> tuple[Made | None, Result]:
    dataset = open_arrays(job.folder)
    trainer = find_trainer(job.trainer)
    task = Task(dataset.train, dataset.validation, job.labels, job.preprocess, job.seed, take)
    parameters = trainer.parameters(**job.parameters)
    software = software_with(trainer)
    try:
        trained = trainer.train(task, parameters)
        curves = tuple(map(round_of, trained.rounds)) or tuple(rounds)
        result = Result("done", _since(started), curves, software=software)
        result = measured(result, trained, task, dataset.test)
    except Diverged as error:
        result = Result("diverged", _since(started), tuple(rounds), software=software, error=str(error))
        return None, measured_before(result, error.before, task, dataset.test)
    return Made(task, trainer, parameters, trained, result, dataset.test), result


def measured(result: Result, trained: Trained, task: Task, test: Labelled) -> Result:
    """Return a result with how good its model is on the part to choose by and on the images to test on.

    Raises:
        Diverged: an answer is no number.
    """
    found = measure(trained, test, task)
    chosen_by = None if task.validation is None else measure(trained, task.validation, task).measures
    return replace(
        result,
        validation=chosen_by,
        test=found.measures,
        confusion=found.confusion,
        answers=found.answers,
    )


def measured_before(result: Result, before: Any, task: Task, test: Labelled) -> Result:
    """Return a result that diverged with the measures of what its rounds had left before, if that answers.

    `before`: a `Trained`, or None.
    """
    with contextlib.suppress(Diverged):  # of weights that are numbers, the answers may be none
        return result if before is None else measured(result, before, task, test)
    return result


def round_of(progress: Progress) -> Round:
    """Return a round as a run's record holds it."""
    loss = progress.loss if progress.loss is not None and math.isfinite(progress.loss) else None
    return Round(progress.number, loss, progress.accuracy, round(progress.seconds, 3))


def software_with(trainer: Trainer) -> dict[str, str]:
    """Return the versions of Python and of what decides on what a trainer makes."""
    return {"python": sys.version.split()[0], **software_of(trainer)}


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)
