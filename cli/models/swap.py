"""`flumen models activate`, `shadow` and `rollback`: change the model of a whole fleet."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
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
from flumen.models.names import parse_reference
from flumen.models.repository import Repository
from flumen.streams.control.operator import swapping
from flumen.streams.control.operator.fleet import FleetView, forget
from flumen.streams.control.operator.rollout import Order, RolloutResult
from flumen.streams.control.operator.swapping import Means, Report, Watch, former_champion
from flumen.streams.control.operator.writer import make_signer
from flumen.streams.control.records import Command, ModelRef
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
        means = _open(root)
        name, ref = _verified(means.repository, reference)
        _accept(means, name, ref, though_worse=yes, needs_impact=impact)
        order = Order(
            command=Command.ACTIVATE, model=name, actor=actor(), reason=reason, timeout_s=timeout, force=force
        )
        with _watched(interruption, quiet=as_json) as watch:
            report = swapping.activate(means, order, lambda _view: ref, watch)
        _report(means.settings, report, as_json)


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
        means = _open(root)
        name = name or means.settings.model_name
        order = Order(
            command=Command.ROLLBACK, model=name, actor=actor(), reason=reason, timeout_s=timeout, force=force
        )
        with _watched(interruption, quiet=as_json) as watch:
            report = swapping.activate(means, order, lambda view: former_champion(means, view), watch)
        _report(means.settings, report, as_json)


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
        means = _open(root)
        ref = None
        if off:
            name, tail = parse_reference(reference or means.settings.model_name)
            if tail is not None:
                raise typer.BadParameter("--off takes the name alone: there is one challenger at most")
        elif reference is None:
            raise typer.BadParameter("name a version, as in mnist@2, or give --off")
        else:
            name, ref = _verified(means.repository, reference)
        order = Order(
            command=Command.SHADOW, model=name, actor=actor(), reason=reason, timeout_s=timeout, force=force
        )
        with _watched(interruption, quiet=as_json) as watch:
            report = swapping.shadow(means, order, ref, watch)
        _report(means.settings, report, as_json)


def activate_version(
    settings: Settings, reference: str, reason: str, timeout_s: float, though_worse: bool
) -> RolloutResult:
    """Let a version classify, and tell nobody: for programs, by `flumen.cli.learning.steps`."""
    means = _open(None, settings)
    name, ref = _verified(means.repository, reference)
    _accept(means, name, ref, though_worse=though_worse)
    order = Order(
        command=Command.ACTIVATE, model=name, actor=actor(), reason=reason, timeout_s=timeout_s, force=False
    )
    with _watched(Interruption(), quiet=True) as watch:
        result = swapping.activate(means, order, lambda _view: ref, watch).result
    forget(settings, result.left_out)
    return result


def _accept(
    means: Means, name: str, ref: ModelRef, *, though_worse: bool, needs_impact: bool = False
) -> None:
    """Return if a version may take the champion's place: by its impact, where that is required, and by its scores."""
    settings, repository = means.settings, means.repository
    standing = standing_manifest(settings, repository, name)
    if needs_impact or settings.require_impact:
        require_for_swap(settings, repository, name, ref, standing)
    accept_score(repository, name, ref, standing, though_worse)


@contextmanager
def _watched(interruption: Interruption, *, quiet: bool) -> Iterator[Watch]:
    """Show the fleet; once it is written to, a signal ends the swap in order."""

    def begins(view: FleetView) -> None:
        _tell_unknown(view)
        interruption.hold()

    with fleet_display(quiet=quiet) as show:
        yield Watch(show, begins, interruption.has_come)


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


def _open(root: str | None, settings: Settings | None = None) -> Means:
    """Look for all that is needed before anything is written."""
    settings = settings or load_settings()
    signer = make_signer(settings)
    ensure_control_topics(settings)
    return Means(settings, open_repository(settings, root), signer)


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
        for line in report.lines():
            console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
    forget(settings, report.result.left_out)
