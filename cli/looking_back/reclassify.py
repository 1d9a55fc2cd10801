"""`flumen reclassify`: what another model says of the images that are stored."""

import hashlib
import json
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flumen.cli.actor import actor
from flumen.cli.looking_back.correcting import LONGEST_REASON, make_searchable
from flumen.cli.looking_back.engines import EngineOption, Master, check_engine, refuse_with_spark
from flumen.cli.looking_back.reclassify_output import (
    print_counts,
    print_plan,
    progress_on,
    say,
    warn_of_labels,
)
from flumen.cli.looking_back.reclassify_spark import reclassify_on_spark
from flumen.cli.models.opening import open_repository
from flumen.cli.output import AsJson, iso_time, progress_bar
from flumen.streams.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flumen.models.repository import Repository
    from flumen.models.runtime import OnnxClassifier
    from flumen.replay.reclassify.applying import Applying
    from flumen.replay.scoring import Choice, Passed, StoredImages
    from flumen.stores.kudu import KuduReader
    from flumen.streams.settings import Settings

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
    ask_all: Annotated[
        bool, typer.Option("--all", help="Ask also about images that it has answered already.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Make its answers the current ones, in Kudu and in Solr.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which images are chosen; ask and change nothing.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; it stands with the job, beside who it was.")] = "",
    root: Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")] = None,
    engine: EngineOption = "local",
    master: Master = None,
    as_json: AsJson = False,
) -> None:
    """Put stored images to another model; its answers go into the table predictions, or become the current ones."""
    _check_reason(reason)
    since_us = None if since is None else _time_us(since)
    check_engine(engine, master)
    if engine == "spark":
        refuse_with_spark(
            {
                "--share": share is not None,
                "--again": again,
                "--all": ask_all,
                "--apply": apply,
                "--dry-run": dry_run,
                "--reason": bool(reason),
            }
        )
    from flumen.replay.images.seen import known_pictures
    from flumen.replay.reclassify.parts import Order, Parts, find_job, make_job
    from flumen.replay.reclassify.working import Task, Throttle, work
    from flumen.replay.scoring import Choice, StoredImages
    from flumen.stores.corrections import CurrentCorrections
    from flumen.stores.kudu import KuduCorrections, KuduReader, KuduReclassifications

    settings = load_settings()
    repository = open_repository(settings, root)
    manifest = repository.resolve(model)
    classifier = repository.load(manifest.name, manifest.version)
    choice = Choice(where=where, since_us=since_us, sample=sample)
    if engine == "spark":
        reclassify_on_spark(settings, repository, classifier, choice, master, as_json)
        return
    order = Order(classifier.name, classifier.version, _in_words(choice), apply, actor(), reason)
    options = settings.kudu_options()
    with ExitStack() as opened:
        tables = opened.enter_context(closing(KuduReader(options)))
        table = opened.enter_context(closing(KuduReclassifications(options)))
        name = _job_name(classifier, choice, [*["apply"] * apply, *["all"] * ask_all])
        last = find_job(table, name)
        found = None if again or dry_run else last

        def stored(snapshot_us: int | None) -> StoredImages:
            return StoredImages(
                tables,
                choice,
                classifier.preprocess,
                _columns(tables, applies=apply),
                limits=settings.limits(),
                picture_of=known_pictures(repository, classifier.preprocess),
                threads=threads,
                snapshot_us=snapshot_us,
            )

        if found is None:
            with stored(None) as chosen:
                plan = chosen.plan()
            if dry_run:
                print_plan(classifier, plan, as_json)
                return
            warn_of_labels(plan.answered, classifier, repository)
        # Another process may have been faster: then all of it is read as of that one's moment.
        job = found or make_job(table, name, plan, order, last)
        images = opened.enter_context(stored(job.snapshot_us))
        corrections = opened.enter_context(closing(CurrentCorrections(KuduCorrections(options))))
        corrections.connect()
        applying = _applying(settings, repository, classifier, job.snapshot_us, opened) if apply else None
        parts = Parts(table, job)
        before = parts.progress()
        if found is not None:
            said = "is done already" if before.done == job.parts else "is not done: going on with it"
            say(f"The job of {iso_time(job.snapshot_us)} {said}; --again makes a new one.")
        task = Task(
            images=images,
            model=classifier,
            answers=table,
            corrections=corrections,
            passed=None if ask_all else _passed(images, classifier, applies=apply),
            applying=applying,
        )
        with progress_bar() as bar:
            progress = work(task, parts, Throttle(share), progress_on(bar, job, before))
    if apply:
        make_searchable(settings)
    print_counts(classifier, job.snapshot_us, progress.counts, as_json, applies=apply)


def _columns(tables: "KuduReader", *, applies: bool) -> "Sequence[str]":
    from flumen.replay.reclassify import answered, applying

    there = tables.schema("images").names
    return (
        applying.COLUMNS
        if applies
        else (*answered.COLUMNS, *(each for each in (answered.TIME,) if each in there))
    )


def _passed(images: "StoredImages", model: "OnnxClassifier", *, applies: bool) -> "Passed":
    """Return what says about which images the model need not be asked.

    What is to become the current answer has to be given for the image as it is stored now: of answers in `predictions`
    that is not known for certain.
    """
    from flumen.replay.reclassify.answered import own_answers, read_answered

    return (own_answers(model) if applies else read_answered(images.moment, model)).find


def _applying(
    settings: "Settings",
    repository: "Repository",
    model: "OnnxClassifier",
    moment_us: int,
    opened: ExitStack,
) -> "Applying":
    """Open the stores whose answers are changed."""
    from flumen.interceptor import load_chain, merge_columns
    from flumen.replay.reclassify.applying import Applying, is_cut
    from flumen.replay.reclassify.restoring import Restorer
    from flumen.replay.reclassify.views import StoredViews
    from flumen.stores.kudu import KuduReader, KuduResults

    options = settings.kudu_options()
    table = opened.enter_context(closing(KuduResults(options)))
    index = None
    if "solr" in settings.sinks:
        from flumen.stores.solr import SolrResults

        columns = merge_columns(step.columns for step in load_chain(settings.interceptors))
        index = opened.enter_context(closing(SolrResults(settings.solr_options(), columns)))
        index.connect()
    redraw = None
    if is_cut(model.preprocess):
        redraw = StoredViews(
            opened.enter_context(closing(KuduReader(options))),
            lambda name, version: repository.manifest(name, version).input.preprocess,
            settings.limits(),
        ).redraw
    return Applying(table, index, model, moment_us, Restorer(table, moment_us, redraw))


def _job_name(model: "OnnxClassifier", choice: "Choice", how: list[str]) -> str:
    """Return what is the same for the same model, the same choice of images, and what is done with them."""
    told = [model.name, model.version, model.manifest.sha256, choice.where, choice.since_us, choice.sample]
    return hashlib.sha256(json.dumps([*told, *how]).encode()).hexdigest()[:24]


def _in_words(choice: "Choice") -> str:
    said = [choice.where] if choice.where else []
    said += [f"ingested_at >= {iso_time(choice.since_us)}"] if choice.since_us is not None else []
    said += [f"a sample of {choice.sample:,}"] if choice.sample is not None else []
    return "; ".join(said) or "all"


def _check_reason(reason: str) -> None:
    if len(reason) > LONGEST_REASON:
        raise typer.BadParameter(f"--reason: at most {LONGEST_REASON:,} characters, and not {len(reason):,}")


def _time_us(text: str) -> int:
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"--since: {text!r} is no time: write it as 2027-01-31 or 2027-01-31T08:00, in UTC"
        ) from None
    return int((said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp() * _US)
