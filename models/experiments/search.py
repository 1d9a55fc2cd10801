"""Making settings of a grid: every combination, or some by chance or by a Sobol sequence."""

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from flumen.models.errors import BadParameters, GridInvalid
from flumen.models.experiments.grid import Grid, Range, check_keys
from flumen.models.experiments.setting import EPOCHS, Setting, Value, defaults_of, usual_of
from flumen.models.trainers.parameters import with_values
from flumen.models.trainers.trainer import Trainer

MOST_SETTINGS = 10_000
_SIGNIFICANT_DIGITS = 4
"""Of a value that was drawn: an id is to be read by people."""


def settings_of(grid: Grid, trainer: Trainer, labels: int, most: int = MOST_SETTINGS) -> list[Setting]:
    """Return the settings of a grid, each once, in the order of the file.

    Args:
        grid: as it was read.
        trainer: the one that the grid names.
        labels: how many there are in the data, which is the number of outputs where the grid says none.
        most: more settings than these are an error: a list too many is soon written.

    Raises:
        GridInvalid: a parameter that the trainer has not, or of another type; too many settings; too few outputs.
    """
    check_keys(grid.parameters, list(defaults_of(trainer.parameters)), f"the trainer {grid.trainer!r}")
    outputs = grid.outputs or (labels,)
    if min(outputs) < labels:
        raise GridInvalid(f"outputs = {min(outputs)}: the images have {labels} labels; give {labels} or more")
    points = _points(grid, trainer, most)
    count = len(outputs) * len(grid.seeds) * grid.repeats * len(points)
    if count > most:
        raise GridInvalid(_too_many(count, most))
    made = (
        Setting(grid.trainer, neurons, seed, point, usual_of(grid.trainer, trainer.parameters))
        for neurons, seed, point in itertools.product(outputs, _seeds(grid), points)
    )
    return list({setting.run_id: setting for setting in made}.values())


def at_rung(settings: Sequence[Setting], epochs: int) -> list[Setting]:
    """Return settings with so many epochs: runs of their own, which those of another rung do not replace."""
    return [
        Setting(one.trainer, one.outputs, one.seed, {**one.parameters, EPOCHS: epochs}, one.usual)
        for one in settings
    ]


def _seeds(grid: Grid) -> Iterator[int]:
    """Yield each seed, and for its repeats those that it determines: the same seed would give the same weights."""
    for seed in grid.seeds:
        yield seed
        for repeat in range(1, grid.repeats):
            yield int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0])


def _points(grid: Grid, trainer: Trainer, most: int) -> list[Mapping[str, Value]]:
    """Return all parameters of the trainer for each point of the search."""
    if grid.search.method == "grid":
        axes = {name: _axis(name, values) for name, values in grid.parameters.items()}
        count = math.prod(map(len, axes.values()))
        if count > most:
            raise GridInvalid(_too_many(count, most))
        chosen = [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]
    else:
        if (grid.search.settings or 0) > most:
            raise GridInvalid(_too_many(grid.search.settings or 0, most))
        chosen = _drawn(grid)
    drawn = {name for name, values in grid.parameters.items() if isinstance(values, Range)}
    return [_checked(trainer, point, drawn) for point in chosen]


def _too_many(count: int, most: int) -> str:
    return (
        f"it makes {count:,} settings, more than {most:,}; take values out, or allow it with --most {count}"
    )


def _axis(name: str, values: list[Any] | Range) -> list[Any]:
    if not isinstance(values, Range):
        return values
    if values.steps is None:
        raise GridInvalid(f'the range of {name!r} has no steps; add steps = 5, or search by method = "sobol"')
    return [_scaled(values, share) for share in np.linspace(0, 1, values.steps)]


def _drawn(grid: Grid) -> list[dict[str, Any]]:
    """Return points of the unit cube, an axis for each parameter of several values, as parameters."""
    axes = [name for name, values in grid.parameters.items() if isinstance(values, Range) or len(values) > 1]
    if not axes:
        raise GridInvalid("no parameter has a range or several values, so that there is nothing to search")
    shares = _shares(grid, len(axes))
    fixed = {name: values[0] for name, values in grid.parameters.items() if isinstance(values, list)}
    return [
        {**fixed, **{name: _at(grid.parameters[name], share) for name, share in zip(axes, row, strict=True)}}
        for row in shares.tolist()
    ]


def _shares(grid: Grid, axes: int) -> Any:
    """Return settings x axes shares of 0 to 1."""
    count = grid.search.settings or 1
    if grid.search.method == "random":
        return np.random.default_rng(grid.search.seed).random((count, axes))
    from scipy.stats import qmc

    # It is balanced for powers of two only, and warns of others: draw as many and take the first.
    sequence = qmc.Sobol(axes, scramble=True, rng=np.random.default_rng(grid.search.seed))
    return sequence.random_base2(max(0, (count - 1).bit_length()))[:count]


def _at(values: list[Any] | Range, share: float) -> Any:
    if isinstance(values, Range):
        return _scaled(values, share)
    return values[min(int(share * len(values)), len(values) - 1)]


def _scaled(values: Range, share: float) -> float:
    if values.scale == "log":
        value = values.low * (values.high / values.low) ** float(share)
    else:
        value = values.low + (values.high - values.low) * float(share)
    return min(max(float(f"{value:.{_SIGNIFICANT_DIGITS}g}"), values.low), values.high)


def _checked(trainer: Trainer, given: Mapping[str, Any], drawn: Collection[str]) -> dict[str, Value]:
    """Return all parameters with these values, as the trainer takes them; a whole one that was `drawn` is rounded."""
    usual = trainer.parameters()
    whole = {name for name in drawn if type(getattr(usual, name)) is int}
    values = {name: round(value) if name in whole else value for name, value in given.items()}
    try:
        made = with_values(usual, values)
    except BadParameters as error:
        raise GridInvalid(str(error)) from error
    return {field.name: getattr(made, field.name) for field in fields(made)}
