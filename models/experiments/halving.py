"""Successive halving: all settings for few epochs, and the best of them for more.

Source: Jamieson and Talwalkar, Non-stochastic best arm identification and hyperparameter optimization, AISTATS 2016.
Each rung is computed from the first epoch on: a run of few epochs is a result of its own, which nothing replaces.
"""

import math
from collections.abc import Callable, Sequence

from flumen.models.errors import GridInvalid
from flumen.models.experiments.grid import Grid, Halving
from flumen.models.experiments.run import Run
from flumen.models.experiments.search import at_rung
from flumen.models.experiments.setting import EPOCHS, Setting

_SHRINK = 4
_USUAL_RUNGS = 3


def halving_of(grid: Grid, settings: Sequence[Setting], *, may_choose: bool) -> Halving:
    """Return the halving that a grid names, or one of three rungs up to the settings' own epochs.

    `may_choose`: whether there are images to choose by.

    Raises:
        GridInvalid: the trainer has no epochs, or no images are kept apart to choose by.
    """
    if not may_choose:
        raise GridInvalid(
            "halving chooses by images that are neither learnt from nor tested on, and none are kept apart; add "
            "validation = 0.1 under [data]"
        )
    epochs = [one.parameters.get(EPOCHS) for one in settings]
    if not all(isinstance(one, int) for one in epochs):
        raise GridInvalid(f"halving goes by epochs, and the trainer {grid.trainer!r} has none; leave it out")
    if grid.halving is not None:
        return grid.halving
    most = max(int(one) for one in epochs if isinstance(one, int))
    rungs = sorted({max(1, most // _SHRINK**step) for step in range(_USUAL_RUNGS)})
    return Halving(tuple(rungs), 1 / _SHRINK)


def by_halving(
    settings: Sequence[Setting], halving: Halving, compute: Callable[[Sequence[Setting]], Sequence[Run]]
) -> list[Run]:
    """Compute settings rung by rung; return the runs of all rungs. What diverged goes no further."""
    runs: list[Run] = []
    left = list(settings)
    for epochs in halving.rungs:
        rung = list({one.run_id: one for one in at_rung(left, epochs)}.values())
        results = compute(rung)
        runs += results
        left = best_of(rung, results, math.ceil(halving.keep * len(rung)))
        if not left:
            break
    return runs


def best_of(settings: Sequence[Setting], runs: Sequence[Run], count: int) -> list[Setting]:
    """Return the settings of the best runs, at most so many; of equal ones, the first by id, on every machine."""
    ranked = sorted(
        (-run.accuracy, run.run_id, position)
        for position, run in enumerate(runs)
        if run.state == "done" and run.accuracy is not None
    )
    return [settings[position] for _, _, position in ranked[:count]]
