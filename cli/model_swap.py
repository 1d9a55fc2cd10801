"""`flumen models activate`, `shadow` and `rollback`: change the model of a whole fleet."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

import typer

from cli.actor import actor
from cli.fleet_table import watching
from cli.output import AsJson, console, print_json
from models.errors import ModelError
from models.names import parse_reference
from models.repository import CHAMPION, Repository
from streams.control.fleet import Fleet, FleetView, forget
from streams.control.pen import Pen, Signer, make_signer, read_newest
from streams.control.records import Command, ModelRef
from streams.control.rollout import Order, Outcome, Rollout, standing_champion
from streams.control.trail import champion_before, read_trail
from streams.errors import NothingBefore, StreamError
from streams.settings import Settings, load_settings
from streams.topics import ensure_control_topics

Reason = Annotated[str, typer.Option(help="Why, for the history.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds that each phase may take.")]
Force = Annotated[bool, typer.Option("--force", help="Go on without workers that are dead, and forget them.")]
Root = Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")]


def activate(
    reference: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Or NAME@ALIAS.")],
    *,
    reason: Reason = "",
    timeout: Timeout = 120,
    force: Force = False,
    root: Root = None,
    as_json: AsJson = False,
) -> None:
    """Let a version classify: every worker prepares it, and once all are ready, all swap. Else nothing changes."""
    settings, repository, signer = _open(root)
    name, ref = _verified(repository, reference)
    order = Order(
        command=Command.ACTIVATE, model=name, actor=actor(), reason=reason, timeout_s=timeout, force=force
    )
    _activate(settings, repository, signer, order, lambda _view: ref, as_json)


def rollback(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The setting model_name's, if not given.")
    ] = None,
    *,
    reason: Reason = "",
    timeout: Timeout = 120,
    force: Force = False,
    root: Root = None,
    as_json: AsJson = False,
) -> None:
    """Go back to the champion before the present one, by the audit trail. Once more goes back further."""
    settings, repository, signer = _open(root)
    name = name or settings.model_name
    order = Order(
        command=Command.ROLLBACK, model=name, actor=actor(), reason=reason, timeout_s=timeout, force=force
    )

    def before(view: FleetView) -> ModelRef:
        if view.desired is None:
            raise NothingBefore(f"nobody has swapped {view.model} yet; choose with `flumen models activate`")
        ref = champion_before(read_trail(settings, view.model), view.model, view.desired.champion)
        repository.verify(view.model, ref.version, sha256=ref.sha256)
        return ref

    _activate(settings, repository, signer, order, before, as_json)


def shadow(
    reference: Annotated[
        str | None,
        typer.Argument(metavar="NAME@VERSION", help="Or NAME, with --off; the setting model_name's."),
    ] = None,
    *,
    off: Annotated[bool, typer.Option("--off", help="Score nothing in shadow any more.")] = False,
    reason: Reason = "",
    timeout: Timeout = 120,
    force: Force = False,
    root: Root = None,
    as_json: AsJson = False,
) -> None:
    """Let a version score what the champion classifies, beside it: stored as predictions, never as the result."""
    settings, repository, signer = _open(root)
    ref = None
    if off:
        name, tail = parse_reference(reference or settings.model_name)
        if tail is not None:
            raise typer.BadParameter("--off takes the name alone: there is one challenger at most")
    elif reference is None:
        raise typer.BadParameter("name a version, as in mnist@2, or give --off")
    else:
        name, ref = _verified(repository, reference)
    order = Order(
        command=Command.SHADOW, model=name, actor=actor(), reason=reason, timeout_s=timeout, force=force
    )
    with Fleet(settings) as fleet, watching(quiet=as_json) as show:
        fleet.settle()
        view = fleet.view(name)
        rollout = Rollout(fleet, Pen(settings, name, signer), order, show)
        outcome = rollout.shadow(view, ref, standing_champion(view, repository))
    what = f"{name}@{ref.version} is scored in shadow" if ref else f"nothing is scored in shadow of {name}"
    _report(settings, order, outcome, what, as_json)


def _activate(
    settings: Settings,
    repository: Repository,
    signer: Signer,
    order: Order,
    choose: Callable[[FleetView], ModelRef],
    as_json: bool,
) -> None:
    """Swap, then let the repository's alias say so too: a worker that finds no control topic takes that one."""
    with Fleet(settings) as fleet, watching(quiet=as_json) as show:
        fleet.settle()
        view = fleet.view(order.model)
        ref = choose(view)
        rollout = Rollout(fleet, Pen(settings, order.model, signer), order, show)
        try:
            outcome = rollout.activate(view, ref, standing_champion(view, repository))
        except BaseException:
            with suppress(StreamError, ModelError):  # what ended the swap is what is to be told
                _let_alias_follow(settings, repository, order.model)
            raise
    _let_alias_follow(settings, repository, order.model)
    _report(settings, order, outcome, f"{order.model}@{ref.version} classifies", as_json)


def _let_alias_follow(settings: Settings, repository: Repository, model: str) -> None:
    """Set the alias to the champion that is desired now: the swap may stand though a worker is late, or be undone."""
    newest = read_newest(settings, model)
    if newest is not None:
        repository.set_alias(model, CHAMPION, newest.champion.version)


def _open(root: str | None) -> tuple[Settings, Repository, Signer]:
    """Look for all that is needed before anything is written."""
    settings = load_settings()
    signer = make_signer(settings)
    ensure_control_topics(settings)
    repository = Repository(root or settings.model_repository, limits=settings.verify_limits())
    return settings, repository, signer


def _verified(repository: Repository, reference: str) -> tuple[str, ModelRef]:
    """Return the name and the version, verified here: what fails on this machine need not trouble the fleet."""
    name, tail = parse_reference(reference)
    if tail is None:
        raise typer.BadParameter(f"name a version, as in {name}@2; see `flumen models list`")
    manifest = repository.resolve(reference)
    repository.verify(name, manifest.version)
    return name, ModelRef(manifest.version, manifest.sha256)


def _report(settings: Settings, order: Order, outcome: Outcome, what: str, as_json: bool) -> None:
    forget(settings, outcome.left_out)
    if as_json:
        print_json({"model": order.model, **asdict(outcome)})
        return
    revision = f" since revision {outcome.state.revision}" if outcome.state else ""
    took = (
        f" (prepared in {outcome.prepare_s:.1f} s, swapped in {outcome.swap_s:.2f} s)"
        if outcome.prepare_s
        else ""
    )
    count = len(outcome.workers)
    where = f"on {count} worker{'s' * (count != 1)}" if count else "as soon as a worker starts: none runs now"
    console.print(f"{what} {where}{revision}{took}.", markup=False, highlight=False, soft_wrap=True)
    if outcome.left_out:
        console.print(
            f"Left out and forgotten: {', '.join(outcome.left_out)}.", markup=False, highlight=False
        )
