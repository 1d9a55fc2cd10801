"""`flumen models activate`, `shadow` and `rollback`: change the model of a whole fleet."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from flumen.cli.actor import actor
from flumen.cli.interruption import Interruption, interruptible
from flumen.cli.invocation import as_called
from flumen.cli.models.fleet_table import fleet_display
from flumen.cli.models.opening import open_repository
from flumen.cli.models.required_impact import require_for_swap
from flumen.cli.models.worse_score import accept_score, standing_manifest
from flumen.cli.output import AsJson, console, errors, print_json, printable
from flumen.models.errors import ModelError
from flumen.models.names import parse_reference
from flumen.models.repository import CHAMPION, Repository
from flumen.streams.control.operator.audit_log import champion_before, read_audit_log
from flumen.streams.control.operator.fleet import Fleet, FleetView, forget
from flumen.streams.control.operator.rollout import Order, Rollout, RolloutResult
from flumen.streams.control.operator.standing import standing_champion
from flumen.streams.control.operator.writer import Signer, StateWriter, make_signer, read_newest
from flumen.streams.control.records import Command, ModelRef
from flumen.streams.errors import NothingBefore, StreamError
from flumen.streams.kafka.topics import ensure_control_topics
from flumen.streams.settings import Settings, load_settings

Reason = Annotated[str, typer.Option(help="Why, for the history.")]
Timeout = Annotated[
    float, typer.Option(min=0.1, max=86_400, help="Seconds that a worker may get nothing done.")
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Go on without workers that are silent, or no members of their group; forget them."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Though it has scored less than the champion.")]
RequireImpact = Annotated[
    bool,
    typer.Option(
        "--require-impact",
        help="Refuse if its `flumen impact` is missing, old or bad; the setting does so always.",
    ),
]
Root = Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")]


@dataclass(frozen=True, slots=True)
class Means:
    """What a swap is carried out with."""

    settings: Settings
    repository: Repository
    signer: Signer
    interruption: Interruption


@dataclass(frozen=True, slots=True)
class Report:
    """What is to be told of a change. `elsewhere`: the workers that run, by the other models that they follow."""

    order: Order
    result: RolloutResult
    what: str
    elsewhere: Mapping[str, Sequence[str]]


def activate(
    reference: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Or NAME@ALIAS.")],
    *,
    reason: Reason = "",
    timeout: Timeout = 120,
    force: Force = False,
    yes: Yes = False,
    impact: RequireImpact = False,
    root: Root = None,
    as_json: AsJson = False,
) -> None:
    """Let a version classify: every worker prepares it, and once all are ready, all swap. Else nothing changes."""
    with interruptible() as interruption:
        settings, repository, signer = _open(root)
        name, ref = _verified(repository, reference)
        _accept(settings, repository, name, ref, though_worse=yes, needs_impact=impact)
        order = Order(
            command=Command.ACTIVATE, model=name, actor=actor(), reason=reason, timeout_s=timeout, force=force
        )
        _activate(Means(settings, repository, signer, interruption), order, lambda _view: ref, as_json)


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
    """Go back to the champion before the present one, by the audit log. Once more goes back further."""
    with interruptible() as interruption:
        settings, repository, signer = _open(root)
        name = name or settings.model_name
        order = Order(
            command=Command.ROLLBACK, model=name, actor=actor(), reason=reason, timeout_s=timeout, force=force
        )

        def before(view: FleetView) -> ModelRef:
            if view.desired is None:
                raise NothingBefore(
                    f"nobody has swapped {view.model} yet; choose with `flumen models activate`"
                )
            ref = champion_before(read_audit_log(settings, view.model), view.model, view.desired.champion)
            repository.verify(view.model, ref.version, sha256=ref.sha256)
            return ref

        _activate(Means(settings, repository, signer, interruption), order, before, as_json)


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
    with interruptible() as interruption:
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
        with Fleet(settings) as fleet, fleet_display(quiet=as_json) as show:
            fleet.settle()
            view, elsewhere = fleet.view(name), fleet.elsewhere(name)
            _tell_unknown(view)
            interruption.hold()
            rollout = Rollout(fleet, StateWriter(settings, name, signer), order, show, interruption.has_come)
            result = rollout.shadow(view, ref, standing_champion(fleet, view, repository))
        what = (
            f"{name}@{ref.version} is scored in shadow" if ref else f"nothing is scored in shadow of {name}"
        )
        _report(settings, Report(order, result, what, elsewhere), as_json)


def activate_version(
    settings: Settings, reference: str, reason: str, timeout_s: float, though_worse: bool
) -> RolloutResult:
    """Let a version classify, and tell nobody: for programs, by `flumen.cli.learning.steps`."""
    settings, repository, signer = _open(None, settings)
    name, ref = _verified(repository, reference)
    _accept(settings, repository, name, ref, though_worse=though_worse)
    order = Order(
        command=Command.ACTIVATE, model=name, actor=actor(), reason=reason, timeout_s=timeout_s, force=False
    )
    means = Means(settings, repository, signer, Interruption())
    result = _swap(means, order, lambda _view: ref, quiet=True).result
    forget(settings, result.left_out)
    return result


def _accept(
    settings: Settings,
    repository: Repository,
    name: str,
    ref: ModelRef,
    *,
    though_worse: bool,
    needs_impact: bool = False,
) -> None:
    """Return if a version may take the champion's place: by its impact, where that is required, and by its scores."""
    standing = standing_manifest(settings, repository, name)
    if needs_impact or settings.require_impact:
        require_for_swap(settings, repository, name, ref, standing)
    accept_score(repository, name, ref, standing, though_worse)


def _activate(means: Means, order: Order, choose: Callable[[FleetView], ModelRef], as_json: bool) -> None:
    _report(means.settings, _swap(means, order, choose, quiet=as_json), as_json)


def _swap(means: Means, order: Order, choose: Callable[[FleetView], ModelRef], *, quiet: bool) -> Report:
    """Swap, then let the repository's alias say so too: a worker that finds no control topic takes that one."""
    settings, repository, interruption = means.settings, means.repository, means.interruption
    with Fleet(settings) as fleet, fleet_display(quiet=quiet) as show:
        fleet.settle()
        view, elsewhere = fleet.view(order.model), fleet.elsewhere(order.model)
        _tell_unknown(view)
        ref = choose(view)
        standing = standing_champion(fleet, view, repository)
        interruption.hold()
        writer = StateWriter(settings, order.model, means.signer)
        rollout = Rollout(fleet, writer, order, show, interruption.has_come)
        try:
            result = rollout.activate(view, ref, standing)
        except BaseException:
            with suppress(StreamError, ModelError):  # what ended the swap is what is to be told
                _let_alias_follow(settings, repository, order.model)
            raise
    _let_alias_follow(settings, repository, order.model)
    return Report(order, result, f"{order.model}@{ref.version} classifies", elsewhere)


def _tell_unknown(view: FleetView) -> None:
    """Say what this version of flumen takes off the state by writing the next one."""
    if view.unknown:
        errors.print(
            printable(
                f"Revision {view.revision} has keys that this version of flumen does not know: "
                f"{', '.join(view.unknown)}. The next revision will not have them; upgrade flumen here to keep them."
            ),
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _let_alias_follow(settings: Settings, repository: Repository, model: str) -> None:
    """Set the alias to the champion that is desired now: the swap may stand though a worker is late, or be undone."""
    newest = read_newest(settings, model)
    if newest is not None:
        repository.set_alias(model, CHAMPION, newest.champion.version)


def _open(root: str | None, settings: Settings | None = None) -> tuple[Settings, Repository, Signer]:
    """Look for all that is needed before anything is written."""
    settings = settings or load_settings()
    signer = make_signer(settings)
    ensure_control_topics(settings)
    return settings, open_repository(settings, root), signer


def _verified(repository: Repository, reference: str) -> tuple[str, ModelRef]:
    """Return the name and the version, verified here: what fails on this machine need not trouble the fleet."""
    name, tail = parse_reference(reference)
    if tail is None:
        raise typer.BadParameter(as_called(f"name a version, as in {name}@2; see `flumen models list`"))
    manifest = repository.resolve(reference)
    repository.verify(name, manifest.version)
    return name, ModelRef(manifest.version, manifest.sha256)


def _report(settings: Settings, report: Report, as_json: bool) -> None:
    """Tell what was done before anything else can fail: it stands."""
    if as_json:
        order, result = report.order, report.result
        print_json({"model": order.model, **asdict(result), "elsewhere": report.elsewhere})
    else:
        _tell(report)
    forget(settings, report.result.left_out)


def _tell(report: Report) -> None:
    order, result = report.order, report.result
    revision = f" since revision {result.state.revision}" if result.state else ""
    took = (
        f" (prepared in {result.prepare_s:.1f} s, swapped in {result.swap_s:.2f} s)"
        if result.prepare_s
        else ""
    )
    count = len(result.workers)
    where = f"on {count} worker{'s' * (count != 1)}" if count else "as soon as a worker starts: none runs now"
    _say(f"{report.what} {where}{revision}{took}.")
    if not count and report.elsewhere:
        _say(_point_elsewhere(order.model, report.elsewhere))
    if result.left_out:
        _say(f"Left out: {', '.join(result.left_out)}.")


def _point_elsewhere(model: str, elsewhere: Mapping[str, Sequence[str]]) -> str:
    """Say that the workers that run follow other models, and how one follows this one."""
    listed = ", ".join(f"{other} ({', '.join(workers)})" for other, workers in elsewhere.items())
    return (
        f"The workers that run follow another model's name: {listed}. They do not swap to {model}: a worker follows "
        f"the name in its setting model_name. Start one with FLUMEN_MODEL_NAME={model}, or activate one of theirs."
    )


def _say(text: str) -> None:
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
