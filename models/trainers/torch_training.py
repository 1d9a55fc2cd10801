"""Learning of PyTorch modules: every epoch, and what is kept of it. Importing this module imports torch."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from flumen.interceptor.preprocess import calls, to_tensor
from flumen.models.datasets.batches import Batches
from flumen.models.errors import Diverged, TrainingFailed
from flumen.models.manifest import tensor_shape
from flumen.models.trainers.dense import shares
from flumen.models.trainers.rounds import Rounds
from flumen.models.trainers.torch_modules import ChannelsFirst, ModuleFactory, module_onnx
from flumen.models.trainers.trainer import Progress, Task

THREADS = 1
"""Several would add the same numbers up in another order, which gives other weights."""

_ROWS_A_CALL = 500


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a module learns: by AdamW, at a rate that falls to 0 along half a cosine over all epochs.

    Sources: Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019; and SGDR, ICLR 2017, equation 5
    without restarts. `decay`: of weights, beside the rate. `patience`: of rounds.
    """

    rate: float
    decay: float
    epochs: int
    batch_size: int
    patience: int


@dataclass(frozen=True, slots=True)
class TrainedModule:
    """A module that has learnt. `answering`: from the tensor to probabilities. `shape`: of one image's tensor."""

    answering: Any
    shape: tuple[int, ...]
    rounds: tuple[Progress, ...]
    facts: dict[str, int | float | str]

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify; float32, n x `shape` in, n x labels out."""
        with torch.inference_mode():
            parts = [self.answering(torch.from_numpy(part)).numpy() for part in calls(tensor)]
        return np.concatenate(parts)

    def to_onnx(self) -> bytes:
        """Return it as ONNX."""
        return module_onnx(self.answering, self.shape)


def train_module(task: Task, make: ModuleFactory, schedule: Schedule) -> TrainedModule:
    """Learn; the same task, module, schedule and processor give the same weights, bit for bit.

    Raises:
        Diverged: the loss or the weights left the range of numbers; what the rounds before have left goes with it.
        TrainingFailed: torch refused to go on.
    """
    with _repeatable(task.seed):
        try:
            return _train(task, make, schedule)
        except RuntimeError as error:
            raise TrainingFailed(f"training failed: torch stopped with {error}") from error


def _train(task: Task, make: ModuleFactory, schedule: Schedule) -> TrainedModule:
    preprocess = task.preprocess
    module = make(preprocess.channels, preprocess.height, preprocess.width, len(task.labels))
    learning = nn.Sequential(ChannelsFirst(preprocess), module)
    descent = torch.optim.AdamW(
        [one for one in module.parameters() if one.requires_grad],
        lr=schedule.rate,
        weight_decay=schedule.decay,
    )
    steps = schedule.epochs * -(-len(task.train.labels) // schedule.batch_size)
    falling = torch.optim.lr_scheduler.LambdaLR(
        descent, lambda step: (1 + math.cos(math.pi * min(step / steps, 1))) / 2
    )
    counting = _label_shares(task)
    rounds: Rounds[Any] = Rounds(task, schedule.epochs, schedule.patience)
    goes_on = True
    while goes_on:
        batches = Batches(task.train, preprocess, schedule.batch_size, task.seed, epoch=len(rounds.all))
        loss = _epoch(learning, batches, descent, falling, counting)
        if reason := _divergence(loss, learning):
            before = None if rounds.best is None else _trained(task, learning, rounds)
            raise Diverged(f"training failed: {reason}. Choose a rate below {schedule.rate}", before)
        goes_on = rounds.take(loss, _accuracy(learning, task), lambda: copy.deepcopy(learning.state_dict()))
    return _trained(task, learning, rounds)


def _trained(task: Task, learning: Any, rounds: Rounds[Any]) -> TrainedModule:
    """Return the module as the best round left it."""
    learning.load_state_dict(rounds.result())
    facts: dict[str, int | float | str] = {
        "weights": sum(one.numel() for one in learning.parameters()),
        "updater": "adamw",
        "loss": "negative log likelihood of softmax",
        "best_epoch": rounds.best_number,
    }
    answering = nn.Sequential(learning, nn.Softmax(dim=1)).eval()
    return TrainedModule(answering, tensor_shape(task.preprocess), tuple(rounds.all), facts)


def _epoch(learning: Any, batches: Batches, descent: Any, falling: Any, counting: Any) -> float:
    """Learn from every image once; return the mean loss. It ends early where that is no number any more."""
    learning.train()
    total = 0.0
    for tensor, labels in batches:
        if len(labels) == 1 < len(batches.images.labels):
            continue  # of one image, batch normalisation has no deviation
        known = torch.from_numpy(labels.astype(np.int64))
        losses = nn.functional.cross_entropy(learning(torch.from_numpy(tensor)), known, reduction="none")
        if counting is not None:
            losses = losses * counting[known]
        descent.zero_grad()
        losses.mean().backward()
        descent.step()
        falling.step()
        total += float(losses.detach().sum())
        if not math.isfinite(total):
            break
    return total / len(batches.images.labels)


def _label_shares(task: Task) -> Any:
    """Return how much an image of each label counts, 1 on average over the images; None for all alike."""
    each = shares(task)
    if each is None:
        return None
    of_labels = np.ones(len(task.labels), np.float32)
    of_labels[task.train.labels] = each
    return torch.from_numpy(of_labels)


def _accuracy(learning: Any, task: Task) -> float | None:
    if task.validation is None:
        return None
    pixels, labels = task.validation.pixels, task.validation.labels
    learning.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(labels), _ROWS_A_CALL):
            part = slice(start, start + _ROWS_A_CALL)
            answers = learning(torch.from_numpy(to_tensor(pixels[part], task.preprocess)))
            right += int((answers.numpy().argmax(axis=1) == labels[part]).sum())
    return right / len(labels)


def _divergence(loss: float, learning: Any) -> str:
    """Return what is no number any more, or nothing."""
    if not math.isfinite(loss):
        return f"the loss is {loss}"
    if not all(bool(torch.isfinite(one).all()) for one in learning.state_dict().values()):
        return "the weights left the range of numbers"
    return ""


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """Hold torch to one thread, to algorithms that give the same again, and to chance of this seed; then as before."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
