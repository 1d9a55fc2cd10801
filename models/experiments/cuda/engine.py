"""Computing runs in stacks: as many of one shape at a time as a GPU's memory holds. Importing it imports torch."""

import collections
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flumen.models.datasets.arrays import open_arrays
from flumen.models.errors import EngineUnavailable, ModelError
from flumen.models.experiments.computing import Made
from flumen.models.experiments.cuda.descent import DeviceImages, device_images
from flumen.models.experiments.cuda.device import (
    OutOfMemory,
    device_name,
    find_device,
    free_bytes,
    versions,
)
from flumen.models.experiments.cuda.stack import Member, Stack, member_bytes
from flumen.models.experiments.engine import Ended, Message
from flumen.models.experiments.jobs import Export, Job, Result
from flumen.models.experiments.setting import Setting
from flumen.models.trainers.dense import TrainerOfLayers
from flumen.models.trainers.trainer import Trainer, find_trainer

_FLOAT_BYTES = 4


def check_trainer(trainer: Trainer) -> None:
    """Check that runs of a trainer can be stacked.

    Raises:
        EngineUnavailable: they cannot.
    """
    if not isinstance(trainer, TrainerOfLayers):
        raise EngineUnavailable(
            f"the engine cuda computes networks of dense layers, which the trainers network and logistic make, and "
            f"the trainer {trainer.name!r} makes none; use --engine local"
        )


@dataclass(slots=True)
class CudaEngine:
    """Computes runs in stacks, in this process.

    Args:
        device: "cuda", or "cuda:1" for another GPU; "cpu" computes the same without one.
        memory_bytes: how much of the device's memory the runs of a stack may take; what is free, if None.

    Raises:
        EngineUnavailable: there is no such device.
        ExtraMissing: torch is not installed.
    """

    device: str = "cuda"
    memory_bytes: int | None = None
    _device: Any = field(init=False)
    _queue: collections.deque[Member] = field(default_factory=collections.deque)
    _most: int | None = None
    """How many runs a stack may have at most, once the memory did not do for more."""
    _stack: Stack | None = None
    _stacked: dict[str, Member] = field(default_factory=dict)
    """Those of the stack whose result was not taken."""
    _images: DeviceImages | None = None
    _made: dict[str, Made] = field(default_factory=dict)
    _exports: collections.deque[tuple[str, Export]] = field(default_factory=collections.deque)
    _said: collections.deque[tuple[str, Message]] = field(default_factory=collections.deque)

    def __post_init__(self) -> None:
        self._device = find_device(self.device)

    @property
    def machine(self) -> str:
        """The machine that it runs on, and its device."""
        return f"{platform.node()}, {platform.machine()}, {device_name(self._device)}"

    @property
    def has_room(self) -> bool:
        """Whether another run can join the next stack: not while one is computed."""
        if self._stacked or not self._queue:
            return not self._stacked
        first = self._queue[0]
        are_alike = all(one.shape == first.shape for one in self._queue)
        return are_alike and len(self._queue) < self._capacity(first)

    def in_order(self, settings: Sequence[Setting]) -> list[Setting]:
        """Return settings of one shape side by side, else as they are."""
        shapes: dict[object, int] = {}
        places = [shapes.setdefault(_shape_of(one), len(shapes)) for one in settings]
        return [settings[position] for position in np.argsort(places, kind="stable").tolist()]

    def begin(self, run_id: str, job: Job) -> None:
        """Have a run computed in the next stack; a parameter that will not do is its failure."""
        trainer: Any = find_trainer(job.trainer)
        check_trainer(trainer)
        try:
            parameters = trainer.parameters(**job.parameters)
        except (ModelError, TypeError) as error:
            failed = Result("failed", 0.0, error=f"{type(error).__name__}: {error}")
            self._said.append((run_id, failed))
            return
        schedule = trainer.schedule(parameters)
        picture = job.preprocess
        sizes = (picture.height * picture.width * picture.channels, *schedule.hidden, len(job.labels))
        images = len(open_arrays(job.folder).train.labels)
        shape = (sizes, min(schedule.batch_size, images))
        self._queue.append(Member(run_id, job, trainer, parameters, schedule, shape))

    def export(self, run_id: str, asked: Export) -> None:
        """Have a model made, before anything else is done."""
        self._exports.append((run_id, asked))

    def messages(self, seconds: float) -> Iterator[tuple[str, Message]]:
        """Compute for so long, at most; yield what is new."""
        until = time.monotonic() + seconds
        has_begun = False
        while self._exports or self._said or self._stacked or self._queue:
            if self._exports:
                run_id, asked = self._exports.popleft()
                yield run_id, self._made[run_id].export(asked)
            elif self._said:
                yield self._said.popleft()
            elif self._stacked or not has_begun:
                self._compute(until)
                has_begun = True
            else:
                return  # others may join the next stack
            if time.monotonic() >= until:
                return

    def release(self, run_id: str) -> None:
        """Forget what the model of a run would be made of."""
        self._made.pop(run_id, None)

    def close(self) -> None:
        """Drop whatever is computed, and give the memory back."""
        self._stack = self._images = None
        for one in (self._queue, self._stacked, self._made, self._exports, self._said):
            one.clear()
        free_bytes(self._device)

    def _compute(self, until: float) -> None:
        """Compute on until there is something to say, or until then."""
        try:
            if self._stack is None:
                self._begin_stack()
            if self._stack is not None and not self._stack.has_results:
                self._said.extend(self._stack.advance(until))
        except OutOfMemory as error:
            reason = str(error).splitlines()[0]
        else:
            if self._stack is not None and self._stack.has_results:
                self._take_result(self._stack)
            return
        # Behind the block, where nothing of the error holds what was computed.
        self._use_less(reason)

    def _begin_stack(self) -> None:
        first = self._queue[0]
        alike = [one for one in self._queue if one.shape == first.shape][: self._capacity(first)]
        self._stacked = {one.run_id: one for one in alike}
        self._queue = collections.deque(one for one in self._queue if one.run_id not in self._stacked)
        dataset = open_arrays(first.job.folder)
        if self._images is None:
            self._images = device_images(dataset, first.job.preprocess, self._device)
        facts = versions(self._device) | {"stack": f"{len(alike)} runs at the same time"}
        self._stack = Stack(alike, dataset, self._images, facts)

    def _take_result(self, stack: Stack) -> None:
        run_id, made, result = stack.result()
        if made is not None:
            self._made[run_id] = made
        del self._stacked[run_id]
        if not self._stacked:
            self._stack = None
        self._said.append((run_id, result))

    def _use_less(self, reason: str) -> None:
        """Compute what was in the stack by two that are half as high; a single run that does not fit has ended."""
        members, self._stack = list(self._stacked.values()), None
        self._stacked = {}
        if len(members) > 1:
            self._most = len(members) // 2
            self._queue.extendleft(reversed(members))
        else:
            self._said += [
                (one.run_id, Ended(f"the memory of {self.device} is short: {reason}")) for one in members
            ]

    def _capacity(self, member: Member) -> int:
        """Return how many runs like this one the memory holds at the same time; one is always tried."""
        train = open_arrays(member.job.folder).train
        free = free_bytes(self._device) if self.memory_bytes is None else self.memory_bytes
        if self._images is None:
            free -= _FLOAT_BYTES * member.shape[0][0] * len(train.labels)
        fitting = max(1, free // member_bytes(member.shape, len(train.labels)))
        return fitting if self._most is None else min(fitting, self._most)


def _shape_of(setting: Setting) -> object:
    return setting.outputs, setting.parameters.get("hidden"), setting.parameters.get("batch_size")
