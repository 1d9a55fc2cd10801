"""Carrying out what somebody wants of a model, as `flumen models activate`, `shadow` and `rollback` do."""

from collections.abc import Callable, Sequence

from flumen.console.models.swaps import Action, Asked, CarryOut, Swap
from flumen.models.repository import Repository
from flumen.streams.control.operator import swapping
from flumen.streams.control.operator.fleet import forget
from flumen.streams.control.operator.rollout import Order
from flumen.streams.control.operator.swapping import Means, Watch, former_champion
from flumen.streams.control.operator.writer import make_signer
from flumen.streams.control.records import Command, ModelRef
from flumen.streams.errors import ScoresWorse
from flumen.streams.kafka.topics import ensure_control_topics
from flumen.streams.settings import Settings

TIMEOUT_S = 120.0
"""Seconds that a worker may get nothing done: as of the commands."""

_COMMANDS = {
    Action.PREPARE: Command.ACTIVATE,  # of which it is the first phase; workers know no other word
    Action.ACTIVATE: Command.ACTIVATE,
    Action.SHADOW: Command.SHADOW,
    Action.SHADOW_OFF: Command.SHADOW,
    Action.ROLLBACK: Command.ROLLBACK,
}

Worse = Callable[[str, int], str | None]
"""Says that a version, by its name and number, scored less than the champion; None where it did not."""

RequireImpact = Callable[[str, int], None]
"""Returns if the impact of a version is good enough; raises ImpactInsufficient or ImpactUnreadable."""


def carry_out_by(
    settings: Settings, repository: Repository, worse: Worse, require_impact: RequireImpact
) -> CarryOut:
    """Return what carries out swaps with these settings."""

    def carry_out(asked: Asked, swap: Swap) -> Sequence[str]:
        means = Means(settings, repository, make_signer(settings))
        ensure_control_topics(settings)
        ref = None if asked.version is None else _verified(repository, asked.model, asked.version)
        if asked.action is Action.ACTIVATE and asked.version is not None:
            if asked.needs_impact or settings.require_impact:
                require_impact(asked.model, asked.version)
            told = None if asked.though_worse else worse(asked.model, asked.version)
            if told is not None:
                raise ScoresWorse(f"{told}. Nothing was written; say that it shall be so, or choose another")
        order = Order(
            command=_COMMANDS[asked.action],
            model=asked.model,
            actor=asked.by,
            reason=asked.reason,
            timeout_s=TIMEOUT_S,
            force=asked.force,
        )
        watch = Watch(swap.show, is_interrupted=lambda: swap.is_given_up)
        report = _done(means, order, asked, ref, watch)
        forget(settings, report.result.left_out)
        return report.lines()

    return carry_out


def _done(means: Means, order: Order, asked: Asked, ref: ModelRef | None, watch: Watch) -> swapping.Report:
    match asked.action:
        case Action.PREPARE:
            assert ref is not None
            return swapping.prepare(means, order, ref, watch)
        case Action.ACTIVATE:
            assert ref is not None
            wanted = ref
            return swapping.activate(means, order, lambda _view: wanted, watch)
        case Action.ROLLBACK:
            return swapping.activate(means, order, lambda view: former_champion(means, view), watch)
        case _:
            return swapping.shadow(means, order, ref, watch)


def _verified(repository: Repository, name: str, version: int) -> ModelRef:
    """Verify a version here: what fails on this machine need not trouble the fleet."""
    manifest = repository.manifest(name, version)
    repository.verify(name, version)
    return ModelRef(manifest.version, manifest.sha256)
