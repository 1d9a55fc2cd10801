"""Swapping from end to end, for whoever shows it: a command on a terminal, the console's page.

What is wanted is chosen on a fleet that has settled, carried out by a `Rollout`, and followed by the alias.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from flumen.models.errors import ModelError
from flumen.models.repository import CHAMPION, Repository
from flumen.streams.control.operator.audit_log import champion_before, read_audit_log
from flumen.streams.control.operator.fleet import Fleet, FleetView
from flumen.streams.control.operator.rollout import Order, Rollout, RolloutResult, Show
from flumen.streams.control.operator.standing import standing_champion
from flumen.streams.control.operator.writer import Signer, StateWriter, read_newest
from flumen.streams.control.records import ModelRef
from flumen.streams.errors import NothingBefore, StreamError
from flumen.streams.settings import Settings

Choose = Callable[[FleetView], ModelRef]
"""Returns the version that is to classify, of a fleet that has settled."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a swap is carried out with."""

    settings: Settings
    repository: Repository
    signer: Signer


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on. `begins` is called once, before anything is written; `is_interrupted` says whether to end."""

    show: Show
    begins: Callable[[FleetView], None] = lambda _view: None
    is_interrupted: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Report:
    """What is to be told of a change. `elsewhere`: the workers that run, by the other models that they follow."""

    order: Order
    result: RolloutResult
    what: str
    elsewhere: Mapping[str, Sequence[str]]

    def lines(self) -> list[str]:
        """Say what was done, where and since when, and who was left out."""
        result = self.result
        revision = f" since revision {result.state.revision}" if result.state else ""
        took = (
            f" (prepared in {result.prepare_s:.1f} s, swapped in {result.swap_s:.2f} s)"
            if result.swap_s
            else f" (in {result.prepare_s:.1f} s)"
            if result.prepare_s
            else ""
        )
        count = len(result.workers)
        where = (
            f"on {count} worker{'s' * (count != 1)}" if count else "as soon as a worker starts: none runs now"
        )
        said = [f"{self.what} {where}{revision}{took}."]
        if not count and self.elsewhere:
            said.append(_point_elsewhere(self.order.model, self.elsewhere))
        if result.left_out:
            said.append(f"Left out: {', '.join(result.left_out)}.")
        return said


def activate(means: Means, order: Order, choose: Choose, watch: Watch) -> Report:
    """Let a version classify; then let the repository's alias say so too, for a worker that finds no control topic.

    Raises as `Rollout.activate`, `standing_champion` and `choose` do.
    """
    with Fleet(means.settings) as fleet:
        fleet.settle()
        view, elsewhere = fleet.view(order.model), fleet.elsewhere(order.model)
        ref = choose(view)
        standing = standing_champion(fleet, view, means.repository)
        rollout = _begun(fleet, view, means, order, watch)
        try:
            result = rollout.activate(view, ref, standing)
        except BaseException:
            with suppress(StreamError, ModelError):  # what ended the swap is what is to be told
                _let_alias_follow(means, order.model)
            raise
    _let_alias_follow(means, order.model)
    return Report(order, result, f"{order.model}@{ref.version} classifies", elsewhere)


def prepare(means: Means, order: Order, ref: ModelRef, watch: Watch) -> Report:
    """Let every worker have a version ready, and change nothing else. Raises as `activate`."""
    with Fleet(means.settings) as fleet:
        fleet.settle()
        view, elsewhere = fleet.view(order.model), fleet.elsewhere(order.model)
        standing = standing_champion(fleet, view, means.repository)
        result = _begun(fleet, view, means, order, watch).prepare(view, ref, standing)
    return Report(order, result, f"{order.model}@{ref.version} is ready", elsewhere)


def shadow(means: Means, order: Order, ref: ModelRef | None, watch: Watch) -> Report:
    """Let a version be scored in shadow, or none. Raises as `activate`."""
    with Fleet(means.settings) as fleet:
        fleet.settle()
        view, elsewhere = fleet.view(order.model), fleet.elsewhere(order.model)
        standing = standing_champion(fleet, view, means.repository)
        result = _begun(fleet, view, means, order, watch).shadow(view, ref, standing)
    name = order.model
    what = f"{name}@{ref.version} is scored in shadow" if ref else f"nothing is scored in shadow of {name}"
    return Report(order, result, what, elsewhere)


def former_champion(means: Means, view: FleetView) -> ModelRef:
    """Return what a rollback goes to: the champion before the present one by the audit log, verified here.

    Raises:
        NothingBefore: there is none.
        ModelError: it cannot be loaded any more; the subclass is the reason.
    """
    if view.desired is None:
        raise NothingBefore(f"nobody has swapped {view.model} yet; choose with `flumen models activate`")
    ref = champion_before(read_audit_log(means.settings, view.model), view.model, view.desired.champion)
    means.repository.verify(view.model, ref.version, sha256=ref.sha256)
    return ref


def _begun(fleet: Fleet, view: FleetView, means: Means, order: Order, watch: Watch) -> Rollout:
    watch.begins(view)
    writer = StateWriter(means.settings, order.model, means.signer)
    return Rollout(fleet, writer, order, watch.show, watch.is_interrupted)


def _let_alias_follow(means: Means, model: str) -> None:
    """Set the alias to the champion that is desired now: the swap may stand though a worker is late, or be undone."""
    newest = read_newest(means.settings, model)
    if newest is not None:
        means.repository.set_alias(model, CHAMPION, newest.champion.version)


def _point_elsewhere(model: str, elsewhere: Mapping[str, Sequence[str]]) -> str:
    """Say that the workers that run follow other models, and how one follows this one."""
    listed = ", ".join(f"{other} ({', '.join(workers)})" for other, workers in elsewhere.items())
    return (
        f"The workers that run follow another model's name: {listed}. They do not swap to {model}: a worker follows "
        f"the name in its setting model_name. Start one with FLUMEN_MODEL_NAME={model}, or activate one of theirs."
    )
