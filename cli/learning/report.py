"""`flumen report`: what is known of a model, as a page that opens without a network."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flumen.cli.learning import dataset_options as options_of
from flumen.cli.learning.own_datasets import Shapes, Textures, own_dataset
from flumen.cli.output import console, save_bytes
from flumen.models.errors import ReportMissing
from flumen.streams.settings import Settings, load_settings

_IMAGES = options_of.DatasetOptions()
_MOST_SIGNS = 100

if TYPE_CHECKING:
    from flumen.models.evaluation.report import Report
    from flumen.models.manifest import Manifest
    from flumen.models.reports.experiment_page import ExperimentReport
    from flumen.models.reports.model_page import ModelReport
    from flumen.models.reports.pictures import Pictures
    from flumen.models.reports.plot import Plot
    from flumen.models.repository import Repository


def report(
    reference: Annotated[
        str, typer.Argument(metavar="[MODEL[@VERSION]]", help="Without a version, the champion.")
    ] = "",
    *,
    experiment: Annotated[
        str, typer.Option(metavar="NAME", help="In place of a model: all runs of this experiment.")
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page; MODEL-VERSION.html or NAME.html if unset."),
    ] = None,
    kind: options_of.From = _IMAGES.kind,
    data: options_of.Data = None,
    where: options_of.Where = _IMAGES.where,
    label: options_of.Label = _IMAGES.label,
    group: options_of.Group = None,
    test: options_of.Test = _IMAGES.test,
    snapshot: options_of.Snapshot = None,
    shapes: Shapes = False,
    textures: Textures = False,
    pictures: Annotated[
        bool, typer.Option(help="Show images; without, the newest report is taken, and they are named by id.")
    ] = True,
    png: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write each plot there as well, as PNG.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    root: Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")] = None,
) -> None:
    """Write a page of what `flumen evaluate` kept of a model, with the images it errs on; or of an experiment."""
    if bool(reference) == bool(experiment):
        raise typer.BadParameter("name a model, or an experiment by --experiment NAME")
    made: ExperimentReport | ModelReport
    if experiment:
        made, name = _of_experiment(experiment), f"{file_name(experiment)}.html"
    else:
        chosen = options_of.DatasetOptions(
            kind=kind, data=data, where=where, label=label, group=group, test=test, snapshot_us=snapshot
        )
        ours = own_dataset(shapes=shapes, textures=textures)
        made, name = _of_model(reference, root, chosen, ours, pictures)
    path = output or Path(name)
    save_bytes(made.html().encode(), path, force)
    if png is not None:
        save_plots(made.plots(), png, force)
    console.print(f"Written to {path}", markup=False, highlight=False, soft_wrap=True)


def _of_experiment(name: str) -> "ExperimentReport":
    from flumen.cli.learning.experiment_computing import open_runs
    from flumen.models.reports.experiment_page import experiment_report

    with open_runs(load_settings()) as store:
        return experiment_report(store, name)


def _of_model(
    reference: str, root: str | None, chosen: options_of.DatasetOptions, ours: str | None, pictures: bool
) -> "tuple[ModelReport, str]":
    from flumen.models.evaluation.kept import Reports
    from flumen.models.reports.model_page import ModelReport
    from flumen.models.reports.pictures import Pictures
    from flumen.models.repository import Repository
    from flumen.models.trainers.kept_rounds import rounds_of

    settings = load_settings()
    repository = Repository(root or settings.model_repository, limits=settings.verify_limits())
    manifest = repository.resolve(reference)
    kept = Reports(repository.url).of(manifest.name, manifest.version)
    if not kept:
        raise ReportMissing(
            f"{manifest} has not been evaluated; `flumen evaluate {manifest} --robustness` does it"
        )
    found, shown = (
        _with_pictures(repository, settings, manifest, kept, chosen, ours)
        if pictures
        else (kept[0], Pictures())
    )
    rounds = rounds_of(repository.url, manifest.name, manifest.version)
    return ModelReport(manifest, found, shown, rounds), f"{manifest.name}-{manifest.version}.html"


def file_name(text: str) -> str:
    """Return a text as the name of a file in whatever folder: other than letters, digits, `.` and `_` are `-`."""
    return re.sub(r"[^\w.]+", "-", text)[:_MOST_SIGNS].strip(".-") or "report"


def save_plots(plots: "Sequence[Plot]", folder: Path, force: bool) -> None:
    """Write plots as PNG files of their names.

    Raises:
        NotSaved: one is there, or cannot be written.
    """
    from flumen.models.reports.png import png
    from flumen.streams.errors import NotSaved

    drawn = {file_name(plot.name): png(plot) for plot in plots}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotSaved(f"{str(folder)!r} cannot be made: {error.strerror}. Name another folder") from error
    for name, content in drawn.items():
        save_bytes(content, folder / f"{name}.png", force)


def _with_pictures(
    repository: "Repository",
    settings: Settings,
    manifest: "Manifest",
    kept: "Sequence[Report]",
    chosen: options_of.DatasetOptions,
    ours: str | None,
) -> "tuple[Report, Pictures]":
    """Return the report of these images, and pictures of them.

    Raises:
        ReportMissing: there is none of these images.
    """
    from flumen.cli.learning.evaluate import read_images
    from flumen.models.evaluation.answers import Answers, ask
    from flumen.models.reports.pictures import choose

    pixels, known, ids, about = read_images(chosen, settings, ours, manifest)
    found = next((each for each in kept if each.data.sha256 == about.sha256), None)
    if found is None:
        there = "; ".join(dict.fromkeys(each.data.description for each in kept))
        raise ReportMissing(
            f"{manifest} was evaluated with {there}, and not with {about.description}. Name the images as then, "
            "by --from and --data, evaluate with these, or take --no-pictures"
        )
    answers = ask(repository.load(manifest.name, manifest.version), pixels)
    return found, choose(found, Answers(answers, known, ids, manifest.labels), pixels)
