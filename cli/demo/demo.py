"""`flumen demo`: the whole thing, once, on real images."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.rule import Rule

from flumen.cli.background import background_worker
from flumen.cli.demo.flow import Flow, send
from flumen.cli.demo.photos import photo_settings, photo_worker, send_photos, show_photos
from flumen.cli.demo.report import Left, Run, farewell, show_dead_letter, show_results
from flumen.cli.interruption import signals_end
from flumen.cli.output import console, errors, how_many
from flumen.cli.stack import start_stack
from flumen.models.repository import Repository
from flumen.models.shipped import seed
from flumen.stack import local
from flumen.stack.layout import Endpoints
from flumen.stores.kudu import KuduReader
from flumen.stores.solr import SolrReader
from flumen.streams.errors import BadSetting, SourceUnreadable, StreamError
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.sources import SourceOptions, find_files, read_images
from flumen.streams.settings import Settings, load_settings
from flumen.streams.wire import SourceImage

_MNIST = Path(__file__).resolve().parents[2] / "data" / "mnist"
IMAGES = _MNIST / "t10k-images-idx3-ubyte.gz"
_MORE_IMAGES = _MNIST / "train-images-idx3-ubyte.gz"
_COUNTS = {IMAGES: 10_000, _MORE_IMAGES: 60_000}
_STAGES = ("Servers", "Digits", "Photos", "What came of it: digits", "What came of it: photos")


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the servers and the workers running.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Classify the 60,000 training images of MNIST as well.")
    ] = False,
) -> None:
    """Start everything, classify the 10,000 MNIST test images and some photos, and show what came of it.

    What it started is stopped at the end. What ran before runs on.
    """
    began = time.monotonic()
    home = load_settings().home
    files = [IMAGES, *([_MORE_IMAGES] if everything else [])]
    for file in files:
        if not file.exists():
            raise SourceUnreadable(f"the demo's images are not at {file}; run it from a clone of the project")
    _require_own_servers(load_settings(), local.recorded(home))
    ran = local.running(home)
    with signals_end(), ExitStack() as closing:
        if not keep:
            closing.callback(local.stop_others, home, ran)
        with _telling_what_is_stopped():
            shown = _show(home, keep, files, closing)
    left = Left(servers=keep or local.is_running(home), workers=shown.workers_are_left)
    ending = farewell(shown.photos, IMAGES, left, time.monotonic() - began)
    console.print(ending, markup=False, highlight=False, soft_wrap=True)
    if shown.problems:
        raise StreamError(" ".join(shown.problems))


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is known when all was shown. `photos` are the settings of the worker of photos."""

    photos: Settings
    workers_are_left: bool
    problems: list[str]


def _show(home: Path, keep: bool, files: Sequence[Path], closing: ExitStack) -> _Shown:
    stages = iter(_STAGES)
    _begin(next(stages))
    endpoints = start_stack(home)
    console.print(_servers(endpoints), highlight=False, soft_wrap=True)
    settings = load_settings()
    seed(Repository(settings.model_repository, limits=settings.verify_limits()))
    ensure_topics(settings)
    photos = photo_settings(settings)
    run = _open_run(settings, closing)
    grace_s = settings.stop_timeout_s + 10
    worker = closing.enter_context(background_worker(home, keep, grace_s))
    photographer = closing.enter_context(photo_worker(photos, keep, grace_s))

    _begin(next(stages))
    digits = send(_digits(files, settings), sum(_COUNTS[file] for file in files) + 1, settings, worker)
    console.print(_went(digits, settings), highlight=False)
    # It connects meanwhile, with a JVM in this process.
    connecting = closing.enter_context(ThreadPoolExecutor(1, "connect")).submit(run.kudu.tables)
    _begin(next(stages))
    pictures = send_photos(photos, photographer)
    console.print(_went(pictures, photos), highlight=False)

    _begin(next(stages))
    connecting.result()
    run.solr.commit()
    problems = show_results(run, expected=digits.report.sent - 1)
    show_dead_letter(run)
    _begin(next(stages))
    problems += show_photos(photos, pictures.report.sent)
    return _Shown(photos, worker.is_left and photographer.is_left, problems)


def _begin(stage: str) -> None:
    console.print()
    console.print(Rule(f"[bold]{_STAGES.index(stage) + 1}  {stage}[/]", align="left", style="cyan"))


def _servers(endpoints: Endpoints) -> str:
    return f"Kafka {endpoints.kafka} · Kudu {endpoints.kudu_masters} · Solr {endpoints.solr_url}"


def _went(flow: Flow, settings: Settings) -> str:
    """Say how fast a flow was, and where its images are."""
    done = flow.looks[-1].done
    best = f", {flow.best_rate:,.0f} at best" if flow.best_rate is not None else ""
    return (
        f"[bold]{how_many(done, 'image')} in {flow.seconds:.1f} s[/]: {done / flow.seconds:,.0f} a second{best}.\n"
        f"They are in Kudu's table {settings.kudu_table_prefix}images and Solr's index {settings.solr_core}; "
        f"what was broken is in the topic {settings.dead_topic}."
    )


def _require_own_servers(settings: Settings, recorded: Endpoints | None) -> None:
    """Return if the settings name no other servers than those of this folder.

    Raises:
        BadSetting: they do. Ten thousand images of the demo's are not wanted there.
    """
    ours = recorded.settings if recorded else {}
    others = [
        name
        for name in sorted(Endpoints.NAMES)
        if name in settings.model_fields_set and getattr(settings, name) != ours.get(name)
    ]
    if others:
        lead, them = ("lead", "them") if len(others) > 1 else ("leads", "it")
        raise BadSetting(
            f"the demo runs on servers that it starts on this machine, and {' and '.join(others)} {lead} elsewhere. "
            f"Unset {them} for the demo, in the environment and in flumen.toml, or run it in another folder"
        )


@contextmanager
def _telling_what_is_stopped() -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        with suppress(OSError):  # of a terminal that is gone
            errors.print("Interrupted. What the demo started is being stopped; that takes some seconds.")
        raise


def _open_run(settings: Settings, closing: ExitStack) -> Run:
    observer = TopicReader(settings)
    closing.callback(observer.close)
    kudu = KuduReader(settings.kudu_options())
    closing.callback(kudu.close)
    solr = SolrReader(settings.solr_options())
    closing.callback(solr.close)
    return Run(settings, observer, kudu, solr, datetime.now(UTC))


def _digits(files: Sequence[Path], settings: Settings) -> Iterator[SourceImage]:
    """Yield the images of IDX files, and one that is broken on purpose."""

    def unreadable(error: SourceUnreadable) -> None:
        raise error

    options = SourceOptions(None, False, settings.max_image_bytes)
    images = read_images(find_files(files, unreadable), options, unreadable)
    first = next(images)
    return chain([first, _broken(first)], images)


def _broken(image: SourceImage) -> SourceImage:
    """Return the first half of an image, to be refused on purpose."""
    half = image.content[: len(image.content) // 2]
    return replace(image, id="broken-on-purpose", name="broken.png", content=half)
