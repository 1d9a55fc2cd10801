"""`flumen produce`."""

import math
import signal
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Annotated

import typer
from rich.markup import escape

from flumen.cli.output import AsJson, errors, print_json, print_rows, printable, progress_bar
from flumen.streams.errors import SourceUnreadable
from flumen.streams.publishing.publisher import SHOWN_FAILURES, PublishReport, publish
from flumen.streams.publishing.sources import SourceOptions, count_images, find_files, read_images
from flumen.streams.publishing.sources.spool import Spool
from flumen.streams.publishing.watching import Target, Watched
from flumen.streams.publishing.watching import watch as watch_spool
from flumen.streams.settings import load_settings

_INTERRUPTED = 130  # what shells expect after Ctrl-C


def _positive(rate: float | None) -> float | None:
    if rate is not None and not (rate > 0 and math.isfinite(rate)):
        raise typer.BadParameter("it must be more than 0 images a second")
    return rate


def produce(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Folders, image files, zip and tar archives, IDX files.")
    ] = None,
    *,
    watch: Annotated[
        Path | None,
        typer.Option(
            help="Publish what is put into this folder, each file once, until stopped by SIGTERM or Ctrl-C."
        ),
    ] = None,
    settle: Annotated[
        float,
        typer.Option(
            min=0, max=86_400, help="With --watch: seconds without a change until a file is taken as written."
        ),
    ] = 2.0,
    topic: Annotated[
        str | None, typer.Option(help="Publish here instead of the topic of the settings.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Images a second, at most.", callback=_positive)] = None,
    labels: Annotated[
        Path | None, typer.Option(help="IDX file of labels; else the one beside the images is taken.")
    ] = None,
    label_from_name: Annotated[
        bool, typer.Option("--label-from-name", help="A name begins with its known label, as in 7_0001.png.")
    ] = False,
    follow_links: Annotated[
        bool,
        typer.Option(
            "--follow-links",
            help="Follow links that lie in a folder to files within it; else they are left out.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish images: folders, files, zip and tar archives, IDX files.

    An image's id is its way from the given path, so that publishing it again replaces it. With --watch, what was
    published is remembered in the folder, also over restarts; a file that changes is published again.
    """
    if bool(paths) == bool(watch):
        raise typer.BadParameter("name what is to be published, or a folder with --watch; one of the two")
    settings = load_settings(images_topic=topic)
    options = SourceOptions(labels, label_from_name, settings.max_image_bytes)
    if watch is not None:
        target = Target(settings.images_topic, settings.producer_config(), rate)
        with Spool(watch, settle, follow_links=follow_links) as spool:
            watched = _watch_folder(spool, target, options)
        _print_watched(watched, settings.images_topic, as_json)
        return
    unreadable: list[SourceUnreadable] = []
    files = find_files(paths or (), unreadable.append, follow_links=follow_links)
    images = read_images(files, options, unreadable.append)
    with progress_bar() as bar:
        task = bar.add_task("publishing", total=count_images(files), note="")
        report = publish(
            images,
            settings.producer_config(),
            settings.images_topic,
            rate,
            lambda settled: bar.update(task, completed=settled),
        )
    failed = report.failed + len(unreadable)
    _print_failures([*(str(error) for error in unreadable[:SHOWN_FAILURES]), *report.failures], failed)
    _print_summary(report, failed, settings.images_topic, as_json)
    if report.interrupted:
        errors.print("stopped by Ctrl-C; the images behind these were not published", highlight=False)
        raise typer.Exit(_INTERRUPTED)
    if not report.sent and not failed:
        errors.print("there was nothing to publish: no file was found there", highlight=False)
    if failed:
        raise typer.Exit(1)


def _watch_folder(spool: Spool, target: Target, options: SourceOptions) -> Watched:
    """Publish what is put into a folder until SIGTERM or Ctrl-C; what was sent is then still waited for."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    errors.print(f"watching {escape(str(spool.folder))}", highlight=False)
    return watch_spool(spool, target, options, stop, _tell)


def _tell(message: str) -> None:
    errors.print(printable(message), markup=False, highlight=False, soft_wrap=True)


def _print_watched(watched: Watched, topic: str, as_json: bool) -> None:
    summary = {"topic": topic, **asdict(watched)}
    if as_json:
        print_json(summary)
    else:
        print_rows([summary], as_json=False)


def _print_failures(reasons: Iterable[str], failed: int) -> None:
    shown = list(reasons)[:SHOWN_FAILURES]
    for reason in shown:
        errors.print(f"[red]failed:[/] {escape(printable(reason))}", highlight=False, soft_wrap=True)
    if failed > len(shown):
        errors.print(f"and {failed - len(shown):,} more", highlight=False)


def _print_summary(report: PublishReport, failed: int, topic: str, as_json: bool) -> None:
    summary = {
        "topic": topic,
        "sent": report.sent,
        "failed": failed,
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
        "images_per_second": round(report.sent / report.seconds, 1) if report.seconds else 0.0,
    }
    if as_json:
        print_json(summary)
    else:
        print_rows([summary], as_json=False)
