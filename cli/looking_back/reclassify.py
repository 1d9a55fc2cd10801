"""`flumen reclassify`: what another model says of the images that are stored."""

import hashlib
import json
from contextlib import closing
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from flumen.cli.models.opening import open_repository
from flumen.cli.output import AsJson, errors, iso_time, pace, print_facts, print_json, progress_bar
from flumen.streams.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress as Bar

    from flumen.models.repository import Repository
    from flumen.models.runtime import OnnxClassifier
    from flumen.replay.reclassify.parts import Job, Progress
    from flumen.replay.scoring import Choice, Plan

_US = 1_000_000


def reclassify(
    model: Annotated[
        str, typer.Argument(metavar="MODEL[@VERSION]", help="Who answers; without a version, its champion.")
    ],
    *,
    where: Annotated[str, typer.Option(help="Only these images: a condition as in `flumen sql`.")] = "",
    sample: Annotated[
        int | None, typer.Option(min=1, help="Only so many of them, drawn by their ids.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only images that arrived then or later: a time, UTC.")
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(min=0.01, max=16, help="Take no more than this of one core's time; 0.25 is a quarter."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Threads that read Kudu and that decode.")] = 2,
    again: Annotated[bool, typer.Option("--again", help="Make a new job, though one is there.")] = False,
    root: Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put stored images to another model; its answers go into the table predictions."""
    since_us = None if since is None else _time_us(since)
    from flumen.replay.images.seen import known_pictures
    from flumen.replay.reclassify.parts import Parts, find_job, make_job
    from flumen.replay.reclassify.working import Throttle, work
    from flumen.replay.scoring import Choice, StoredImages
    from flumen.stores.corrections import CurrentCorrections
    from flumen.stores.kudu import KuduCorrections, KuduReader, KuduReclassifications

    settings = load_settings()
    repository = open_repository(settings, root)
    manifest = repository.resolve(model)
    classifier = repository.load(manifest.name, manifest.version)
    choice = Choice(where=where, since_us=since_us, sample=sample)
    options = settings.kudu_options()
    with (
        closing(KuduReader(options)) as tables,
        closing(KuduReclassifications(options)) as table,
        closing(CurrentCorrections(KuduCorrections(options))) as corrections,
    ):
        corrections.connect()
        name = _job_name(classifier, choice)
        job = None if again else find_job(table, name)
        with StoredImages(
            tables,
            choice,
            classifier.preprocess,
            ("model", "model_version"),
            limits=settings.limits(),
            picture_of=known_pictures(repository, classifier.preprocess),
            threads=threads,
            snapshot_us=None if job is None else job.snapshot_us,
        ) as images:
            is_new = job is None
            if job is None:
                plan = images.plan()
                _warn_of_labels(plan, classifier, repository)
                job = make_job(table, name, plan)
            parts = Parts(table, job)
            before = parts.progress()
            if not is_new:
                said = "is done already" if before.done == job.parts else "is not done: going on with it"
                _say(f"The job of {iso_time(job.snapshot_us)} {said}; --again makes a new one.")
            with progress_bar() as bar:
                report = _shown(bar, job, before)
                progress = work(images, classifier, table, parts, Throttle(share), report, corrections)
    _print(classifier, job, progress, as_json)


def _shown(bar: "Bar", job: "Job", before: "Progress") -> "Callable[[int], None]":
    task = bar.add_task("images", total=job.images, completed=before.counts.images, note="")
    began, seen = monotonic(), 0

    def report(more: int) -> None:
        nonlocal seen
        seen += more
        left = job.images - before.counts.images
        bar.update(task, advance=more, note=pace(seen, monotonic() - began, left, " images/s"))

    return report


def _print(model: "OnnxClassifier", job: "Job", progress: "Progress", as_json: bool) -> None:
    counts = progress.counts
    left_out = dict(counts.left_out)
    if as_json:
        print_json(
            {
                "model": model.name,
                "model_version": model.version,
                "as_of": iso_time(job.snapshot_us),
                "images": counts.images,
                "answered": counts.answered,
                "answered_by_it_already": counts.same,
                "left_out": left_out,
            }
        )
        return
    print_facts(
        [
            ("model", str(model)),
            ("images as of", iso_time(job.snapshot_us)),
            ("images", f"{counts.images:,}"),
            ("answers written", f"{counts.answered:,}"),
            ("own answer is by it", f"{counts.same:,}"),
            *((f"left out {reason}", f"{count:,}") for reason, count in left_out.items()),
        ],
    )


def _warn_of_labels(plan: "Plan", model: "OnnxClassifier", repository: "Repository") -> None:
    from flumen.models.errors import ModelError

    for name, version in plan.answered:
        if name is None or version is None:
            continue
        try:
            labels = repository.manifest(name, version).labels
        except ModelError:
            continue
        if tuple(labels) != tuple(model.labels):
            _say(
                f"The labels of {model} are others than those of {name}@{version}, which images have answers of."
            )


def _job_name(model: "OnnxClassifier", choice: "Choice") -> str:
    """Return what is the same for the same model and the same choice of images."""
    told = [model.name, model.version, model.manifest.sha256, choice.where, choice.since_us, choice.sample]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]


def _time_us(text: str) -> int:
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"--since: {text!r} is no time: write it as 2027-01-31 or 2027-01-31T08:00, in UTC"
        ) from None
    return int((said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp() * _US)


def _say(text: str) -> None:
    errors.print(text, markup=False, highlight=False, soft_wrap=True)
