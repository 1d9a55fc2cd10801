"""One setting: what a run is made with, and the id that it has because of that."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from flumen.models.experiments.java_double import java_double

Value = int | float | str | bool | tuple[int, ...]

RATE = "rate"
EPOCHS = "epochs"

ARTICLE_TRAINER = "network"
ARTICLE: Mapping[str, Value] = {"epochs": 15, "batch_size": 128, "hidden": (500, 100)}
"""What the ids of the article's runs do not tell, as it reproduces the article's table. A run with these needs no
suffix, whatever the trainer's own defaults become."""

_SUFFIX_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run is made with.

    `outputs`: neurons of the last layer; those above the number of labels learn that they are never right. `seed`: of
    all chance. `parameters`: all of the trainer's, also those that have their defaults. `usual`: the parameters that an
    id need not tell.
    """

    trainer: str
    outputs: int
    seed: int
    parameters: Mapping[str, Value]
    usual: Mapping[str, Value]

    @property
    def run_id(self) -> str:
        """`outputs_seed_rate`, as in the article; and behind it a hash of what else is not as usual.

        It is the same in every grid, on every machine, and in later versions that give the trainer more parameters.
        """
        rate = self.parameters.get(RATE)
        parts = [str(self.outputs), str(self.seed)]
        parts += [java_double(float(rate))] if isinstance(rate, int | float) else []
        unusual = {
            name: value
            for name, value in self.parameters.items()
            if name != RATE and value != self.usual.get(name)
        }
        if unusual or self.trainer != ARTICLE_TRAINER:
            told = json.dumps([self.trainer, unusual], sort_keys=True, separators=(",", ":"))
            parts.append(hashlib.sha256(told.encode()).hexdigest()[:_SUFFIX_DIGITS])
        return "_".join(parts)


def defaults_of(parameters: type[Any]) -> dict[str, Value]:
    """Return the defaults of a trainer's parameters, by name."""
    made = parameters()
    return {field.name: getattr(made, field.name) for field in fields(made)}


def usual_of(trainer: str, parameters: type[Any]) -> dict[str, Value]:
    """Return what an id need not tell of a trainer's parameters: its defaults, or what the article has."""
    known = defaults_of(parameters)
    if trainer == ARTICLE_TRAINER:
        known |= {name: value for name, value in ARTICLE.items() if name in known}
    return known
