"""Computing runs on a Spark cluster. Importing this module imports pyspark."""

import contextlib
import pickle
import queue
import time
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError
from pyspark import InheritableThread

from flumen.models.datasets.arrays import open_arrays
from flumen.models.errors import EngineUnavailable
from flumen.models.experiments.computing import Made
from flumen.models.experiments.engine import Ended, Message
from flumen.models.experiments.jobs import Export, Exported, Job, Result
from flumen.models.experiments.setting import Setting
from flumen.models.experiments.spark.context import executors_cores, reason_of
from flumen.models.experiments.spark.executor import Computed, compute_there
from flumen.models.trainers.trainer import Task, find_trainer


@dataclass(slots=True)
class _InHand:
    """A run that was begun. `learnt`: what it has learnt, pickled."""

    job: Job
    result: Result | None = None
    learnt: bytes = b""


@dataclass(slots=True)
class SparkEngine:
    """Computes each run as a task of Spark, up to `most` at the same time; None: one for each core of the executors.

    The images are sent to each executor once, as an archive, which its processes map; what a run has learnt comes
    back with its result, and its model is made here if it is kept. `room` is a folder of this machine for archives,
    which has to be there as long as the context is: an executor may join late.
    """

    context: Any
    room: Path
    most: int | None = None
    _group: str = field(default_factory=lambda: f"flumen-{uuid.uuid4()}")
    _in_hand: dict[str, _InHand] = field(default_factory=dict)
    _sent: dict[Path, str] = field(default_factory=dict)
    _said: "queue.SimpleQueue[tuple[_InHand, str, Message | Computed]]" = field(
        default_factory=queue.SimpleQueue
    )

    @property
    def machine(self) -> str:
        """The cluster; which executor it was, the software of a run says."""
        return f"Spark {self.context.version}, {self.context.master}"

    @property
    def has_room(self) -> bool:
        """Whether another run can be begun."""
        return len(self._in_hand) < (self.most or executors_cores(self.context))

    def in_order(self, settings: Sequence[Setting]) -> list[Setting]:
        """Return them as they are."""
        return list(settings)

    def begin(self, run_id: str, job: Job) -> None:
        """Have a run computed.

        Raises:
            EngineUnavailable: Spark does not take the images, or has ended.
        """
        try:
            archive = self._archive_of(job.folder)
        except (Py4JError, OSError) as error:
            raise EngineUnavailable(
                f"Spark does not take the images: {reason_of(error)}. See that the cluster is there, then resume the "
                "experiment"
            ) from error
        self._in_hand[run_id] = begun = _InHand(job)
        self._aside(self._compute, begun, run_id, archive)

    def export(self, run_id: str, asked: Export) -> None:
        """Have a run's model made here, of what it has learnt there."""
        self._aside(self._export, self._in_hand[run_id], run_id, asked)

    def messages(self, seconds: float) -> Iterator[tuple[str, Message]]:
        """Wait for so long at most; yield what has come."""
        until = time.monotonic() + seconds
        while True:
            try:
                begun, run_id, message = self._said.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return
            until = 0.0  # whatever else has come by now
            if self._in_hand.get(run_id) is not begun:
                continue  # of what was ended by `close`
            if isinstance(message, tuple):
                begun.result, begun.learnt = message
                message = begun.result
            elif isinstance(message, Ended):
                self.release(run_id)
            yield run_id, message

    def release(self, run_id: str) -> None:
        """Forget a run."""
        del self._in_hand[run_id]

    def close(self) -> None:
        """End what the executors have in hand."""
        if self._in_hand:
            with contextlib.suppress(Py4JError, AttributeError, OSError):  # it has ended by itself
                self.context.setLogLevel("OFF")  # which has pages for each task that is ended
                self.context.cancelJobGroup(self._group)
        self._in_hand.clear()

    def _archive_of(self, folder: Path) -> str:
        """Return by which name an executor finds the images, having given them to Spark."""
        if folder not in self._sent:
            name = f"flumen-{uuid.uuid4().hex}"
            archive = self.room / f"{name}.zip"
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
                for each in folder.iterdir():
                    file.write(each, each.name)
            self.context.addArchive(f"{archive}#{name}")
            self._sent[folder] = name
        return self._sent[folder]

    def _aside(self, what: Any, *arguments: Any) -> None:
        InheritableThread(target=what, args=arguments, daemon=True).start()

    def _compute(self, begun: _InHand, run_id: str, archive: str) -> None:
        try:
            self.context.setJobGroup(self._group, run_id, interruptOnCancel=True)
            task = partial(_tasks, begun.job, archive)
            (computed,) = self.context.parallelize([0], 1).mapPartitions(task).collect()
        except Exception as error:  # noqa: BLE001 - whatever it is, this thread's run is over
            self._said.put((begun, run_id, Ended(f"Spark has ended its task: {reason_of(error)}")))
            return
        self._said.put((begun, run_id, computed))

    def _export(self, begun: _InHand, run_id: str, asked: Export) -> None:
        self._said.put((begun, run_id, _exported(begun, asked)))


def _tasks(job: Job, archive: str, _: Iterator[int]) -> Iterator[Computed]:
    yield compute_there(job, archive)


def _exported(begun: _InHand, asked: Export) -> Exported:
    if not begun.learnt or begun.result is None:
        return Exported(error="what its trainer has made cannot be sent from one process to another")
    job, dataset = begun.job, open_arrays(begun.job.folder)
    trainer = find_trainer(job.trainer)
    task = Task(dataset.train, dataset.validation, job.labels, job.preprocess, job.seed, lambda _: True)
    try:
        trained = pickle.loads(begun.learnt)  # noqa: S301 - of an executor, which runs our code as we would
    except Exception as error:  # noqa: BLE001 - as where this machine has other versions than the executors
        return Exported(error=f"what was learnt there cannot be read here: {type(error).__name__}: {error}")
    made = Made(task, trainer, trainer.parameters(**job.parameters), trained, begun.result, dataset.test)
    return made.export(asked)
