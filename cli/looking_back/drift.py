"""`flumen drift`: whether what arrives is still like what was there before."""

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flumen.cli.models.opening import open_repository
from flumen.cli.output import AsJson, console, print_json, print_rows, printable, progress_bar, save_bytes
from flumen.streams.settings import load_settings

if TYPE_CHECKING:
    from flumen.models.manifest import Manifest
    from flumen.replay.drift import Drift, Found, Reference

_US = 1_000_000
_UNITS_S = {"h": 3600, "d": 86_400}
_MOST_SHOWN = 20


def drift(
    model: Annotated[
        str,
        typer.Argument(
            metavar="[MODEL[@VERSION]]",
            help="Whose answers; without a version, its champion, without a model, that of the setting model_name.",
        ),
    ] = "",
    *,
    reference: Annotated[
        str,
        typer.Option(metavar="training|FROM..TO", help="What to compare with: its training, or a time, UTC."),
    ] = "training",
    window: Annotated[
        str, typer.Option(help="Length of the windows: hours or days, such as 1h or 1d.")
    ] = "1d",
    since: Annotated[
        str | None, typer.Option(help="Only windows since then: a time in UTC, or 12h or 30d ago.")
    ] = None,
    where: Annotated[str, typer.Option(help="Only these images: a condition as in `flumen sql`.")] = "",
    page: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page with plots there as well.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --page replace a file.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help=f"Print every window and column, not the {_MOST_SHOWN} worst.")
    ] = False,
    root: Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare what arrived, and what a model said of it, by windows of time with its training or with another time."""
    width_us = _width_us(window)
    since_us = None if since is None else _since_us(since)
    from flumen.models.evaluation.kept import Reports
    from flumen.replay.drift import Scope, find_drift, scan
    from flumen.stores.kudu import KuduReader

    settings = load_settings()
    repository = open_repository(settings, root)
    manifest = repository.resolve(model or settings.model_name)
    reports = Reports(repository.url).of(manifest.name, manifest.version)
    compared_with = _reference(reference, manifest, reports)
    scope = Scope(
        model=manifest.name,
        version=manifest.version,
        width_us=width_us,
        since_us=since_us,
        where=where,
        calibration=reports[0].reliability if reports else None,
    )
    with closing(KuduReader(settings.kudu_options())) as tables, progress_bar() as progress:
        task = progress.add_task("reading", total=None, note="rows")
        counting = scan(
            tables, scope, compared_with, report=lambda rows: progress.update(task, completed=rows)
        )
    found = find_drift(counting, scope, compared_with)
    if page is not None:
        from flumen.replay.drift.page import drift_page

        save_bytes(drift_page(found, datetime.now(UTC)).encode(), page, force)
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found, every)
        if page is not None:
            console.print(f"Written to {page}", markup=False, highlight=False, soft_wrap=True)


def _print(found: "Drift", every: bool) -> None:
    from flumen.replay.drift.comparing import estimated_accuracy
    from flumen.replay.drift.page import moment
    from flumen.replay.drift.verdict import verdict

    said = "answered" if found.scope.calibration is None else "calibrated"
    windows: list[dict[str, Any]] = []
    for each in found.windows:
        estimate = estimated_accuracy(each)
        windows.append(
            {
                "window": moment(each.start or 0),
                "images": each.images,
                "accuracy_estimated": f"{estimate[0]:.4f} ± {estimate[1]:.4f}" if estimate else "",
                "labelled": each.labelled,
                "accuracy": each.right / each.labelled if each.labelled else None,
            }
        )
    shown = found.found if every else found.found[:_MOST_SHOWN]
    print_rows(
        windows, as_json=False, title=f"Windows, UTC; accuracy estimated from confidence as it is {said}"
    )
    left = len(found.found) - len(shown)
    print_rows(
        [_row(each, moment(each.start)) for each in shown],
        as_json=False,
        title=f"Against {printable(found.text)}, the worst first"
        + (f"; {left:,} more by --all" if left else ""),
        columns=("window", "column"),
    )
    for remainder in found.remainders:
        console.print(f"Not compared: {printable(remainder)}", markup=False, highlight=False, soft_wrap=True)
    console.print(verdict(found), markup=False, highlight=False, soft_wrap=True)


def _row(each: "Found", start: Any) -> dict[str, Any]:
    measures = each.distances
    row: dict[str, Any] = {
        "window": start,
        "column": each.column,
        "drifted": "yes" if each.drifted else "",
        "times_threshold": round(measures.ratio, 2),
    }
    for name, distance in (
        ("psi", measures.stability),
        ("js", measures.divergence),
        ("ks", measures.largest),
    ):
        row[name] = None if distance is None else distance.value
        row[f"{name}_from"] = None if distance is None else distance.threshold
    return row


def _as_json(found: "Drift") -> dict[str, Any]:
    from flumen.replay.drift.comparing import estimated_accuracy
    from flumen.replay.drift.measures import ALPHA
    from flumen.replay.drift.verdict import verdict

    windows = []
    for each in found.windows:
        estimate = estimated_accuracy(each)
        windows.append(
            {
                "start_us": each.start,
                "images": each.images,
                "accuracy_estimated": estimate[0] if estimate else None,
                "accuracy_estimated_half_width": estimate[1] if estimate else None,
                "labelled": each.labelled,
                "accuracy": each.right / each.labelled if each.labelled else None,
            }
        )
    return {
        "model": found.scope.model,
        "version": found.scope.version,
        "reference": found.text,
        "reference_accuracy": found.reference_accuracy,
        "window_us": found.scope.width_us,
        "alpha": ALPHA,
        "comparisons": found.comparisons,
        "rows": found.rows,
        "verdict": verdict(found),
        "windows": windows,
        "found": [{**_row(each, each.start), "drifted": each.drifted} for each in found.found],
        "not_compared": list(found.remainders),
    }


def _reference(text: str, manifest: "Manifest", reports: Any) -> "Reference":
    from flumen.replay.drift import Reference, Span, of_training

    if text == "training":
        return of_training(manifest, reports)
    start, dots, end = text.partition("..")
    if not dots:
        raise typer.BadParameter(
            f"--reference {text!r} is neither `training` nor a time as 2027-01-01..2027-01-08"
        )
    span = Span(_time_us(start, "--reference"), _time_us(end, "--reference"))
    if span.end <= span.start:
        raise typer.BadParameter(f"--reference {text!r} ends before it begins")
    return Reference(f"the time {start}..{end}", span)


def _width_us(text: str) -> int:
    found = re.fullmatch(r"([1-9][0-9]{0,3})([hd])", text)
    if not found:
        raise typer.BadParameter(f"--window {text!r} is no length: write hours or days, such as 1h or 7d")
    return int(found[1]) * _UNITS_S[found[2]] * _US


def _since_us(text: str) -> int:
    if found := re.fullmatch(r"([1-9][0-9]{0,4})([hd])", text):
        ago = timedelta(seconds=int(found[1]) * _UNITS_S[found[2]])
        return max(1, int((datetime.now(UTC) - ago).timestamp() * _US))
    return _time_us(text, "--since")


def _time_us(text: str, option: str) -> int:
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{option}: {text!r} is no time: write it as 2027-01-31 or 2027-01-31T08:00, in UTC"
        ) from None
    return int((said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp() * _US)
