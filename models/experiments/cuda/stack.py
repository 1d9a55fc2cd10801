"""Runs of one shape that are computed at the same time: their rounds, and what comes of each."""

import collections
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from flumen.models.datasets.dataset import Dataset
from flumen.models.errors import Diverged
from flumen.models.experiments.computing import (
    Made,
    measured,
    measured_before,
    round_of,
    software_with,
)
from flumen.models.experiments.cuda.descent import DeviceImages, StackedDescent
from flumen.models.experiments.jobs import Job, Result
from flumen.models.experiments.run import Round
from flumen.models.manifest import tensor_shape
from flumen.models.trainers.dense import Schedule, TrainedLayers, descent_facts
from flumen.models.trainers.descent import Layers
from flumen.models.trainers.rounds import Rounds
from flumen.models.trainers.trainer import Progress, Task

Shape = tuple[tuple[int, ...], int]
"""What networks have in common that learn at the same time: inputs and neurons of each layer; images a step."""

_FLOAT_BYTES = 4
_COPIES = 3
"""Weights, their velocities, and what is kept of the best round."""


@dataclass(frozen=True, slots=True)
class Member:
    """A run of a stack. `trainer` makes dense layers by `schedule`."""

    run_id: str
    job: Job
    trainer: Any
    parameters: Any
    schedule: Schedule
    shape: Shape


def member_bytes(shape: Shape, images: int) -> int:
    """Return what a run takes of a device's memory, where so many images are learnt from: a little too much."""
    sizes, batch_size = shape
    weights = sum((before + 1) * after for before, after in pairwise(sizes))
    # Sums, errors and those that are passed on; twice, since a last batch may have a graph of its own.
    a_step = 2 * batch_size * (sizes[0] + 3 * sum(sizes[1:]))
    return _FLOAT_BYTES * (_COPIES * weights + a_step) + 8 * images


class Stack:
    """Runs that learn at the same time, each until its own rounds are over, or its weights are no numbers."""

    def __init__(
        self, members: Sequence[Member], dataset: Dataset, images: DeviceImages, facts: dict[str, str]
    ) -> None:
        """Begin. `facts`: what the runs' records say of how they were computed, beside the software."""
        self._members = list(members)
        self._dataset = dataset
        self._facts = facts
        self._randoms = {member.job.seed: np.random.RandomState(member.job.seed) for member in members}
        (sizes, batch_size) = members[0].shape
        drawn = {seed: Layers.drawn(sizes, random) for seed, random in self._randoms.items()}
        self._descent = StackedDescent(
            [drawn[member.job.seed] for member in members],
            [member.schedule.rule for member in members],
            images,
            batch_size,
        )
        self._told: list[tuple[str, Round]] = []
        self._tasks = [self._task(member) for member in members]
        self._rounds = [
            Rounds[bool](task, member.schedule.epochs, member.schedule.patience)
            for task, member in zip(self._tasks, members, strict=True)
        ]
        self._learning = np.ones(len(members), np.bool_)
        self._over: collections.deque[tuple[int, str, float]] = collections.deque()
        """Positions, why they diverged, and how long they took, seconds."""
        self._started = time.perf_counter()

    @property
    def has_results(self) -> bool:
        """Whether there are runs that are over and whose result was not taken."""
        return bool(self._over)

    def advance(self, until: float) -> list[tuple[str, Round]]:
        """Learn until a round is over, or that moment of `time.monotonic` has come; return the rounds of the runs."""
        with np.errstate(all="ignore"):  # what overflows has diverged, which its result says
            if self._descent.is_between_epochs:
                self._descent.begin_epoch(self._orders())
            if self._descent.learn(until):
                self._end_round()
        told, self._told = self._told, []
        return told

    def result(self) -> tuple[str, Made | None, Result]:
        """Return what came of the next run that is over, the best first, and what its model is made of."""
        position, reason, duration_s = self._over.popleft()
        member, task, rounds = self._members[position], self._tasks[position], self._rounds[position]
        trained = None
        if rounds.best:
            facts = descent_facts(member.schedule.rule, rounds.best_number)
            shape = tensor_shape(task.preprocess)
            trained = TrainedLayers(self._descent.kept(position), shape, tuple(rounds.all), facts)
        result = Result(
            "diverged" if reason else "done",
            round(duration_s, 3),
            tuple(map(round_of, rounds.all)),
            software=software_with(member.trainer) | self._facts,
            error=reason or None,
        )
        test = self._dataset.test
        if reason or trained is None:
            return member.run_id, None, measured_before(result, trained, task, test)
        try:
            result = measured(result, trained, task, test)
        except Diverged as error:
            return member.run_id, None, replace(result, state="diverged", error=str(error))
        made = Made(task, member.trainer, member.parameters, trained, result, test)
        return member.run_id, made, result

    def _task(self, member: Member) -> Task:
        def report(progress: Progress) -> bool:
            self._told.append((member.run_id, round_of(progress)))
            return True

        job = member.job
        return Task(
            self._dataset.train, self._dataset.validation, job.labels, job.preprocess, job.seed, report
        )

    def _orders(self) -> np.typing.NDArray[np.int64]:
        """Return the order of the images in the next epoch, as `Descent` draws it: runs x images."""
        orders = {}
        for seed, random in self._randoms.items():
            orders[seed] = np.arange(len(self._dataset.train.labels))
            random.shuffle(orders[seed])
        return np.stack([orders[member.job.seed] for member in self._members])

    def _end_round(self) -> None:
        losses, broken = self._descent.losses(), self._descent.broken()
        accuracies = self._descent.accuracies()
        better = np.zeros(len(self._members), np.bool_)
        over: list[tuple[int, str]] = []
        for position in np.flatnonzero(self._learning).tolist():
            loss = float(losses[position])
            if reason := _divergence(loss, bool(broken[position])):
                rate = self._members[position].schedule.rule.rate
                over.append((position, f"training failed: {reason}. Choose a rate below {rate}"))
                continue
            accuracy = None if accuracies is None else float(accuracies[position])
            rounds = self._rounds[position]
            goes_on = rounds.take(loss, accuracy, lambda: True)
            better[position] = rounds.best_number == len(rounds.all)
            if not goes_on:
                over.append((position, ""))
        self._descent.keep(better)
        self._learning[[position for position, _ in over]] = False
        best_first = np.zeros(len(self._members)) if accuracies is None else -accuracies
        over.sort(key=lambda one: (bool(one[1]), best_first[one[0]]))
        duration_s = time.perf_counter() - self._started
        self._over.extend((position, reason, duration_s) for position, reason in over)


def _divergence(loss: float, is_broken: bool) -> str:
    if not np.isfinite(loss):
        return f"the loss is {loss}"
    return "the weights left the range of numbers" if is_broken else ""
