"""`flumen demo`: the whole thing, once, on real images."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from flumen.cli.background import BackgroundWorker, background_worker
from flumen.cli.demo_photos import photo_settings, photo_worker, show_photos
from flumen.cli.demo_report import Left, Run, Snapshot, farewell, live_table, show_dead_letter, show_results
from flumen.cli.interruption import signals_end
from flumen.cli.output import console, errors
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
from flumen.streams.publishing.publisher import PublishReport, publish
from flumen.streams.publishing.sources import SourceOptions, find_files, read_images
from flumen.streams.settings import Settings, load_settings
from flumen.streams.wire import SourceImage

IMAGES = Path(__file__).resolve().parent.parent / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"
_TIMEOUT_S = 120.0
"""Without a single image more for so long, something is broken."""
_REFRESH_S = 0.3


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the servers and the workers running.")] = False,
) -> None:
    """Start everything, classify the 10,000 MNIST test images and some photos, and show what came of it.

    What it started is stopped at the end. What ran before runs on.
    """
    began = time.monotonic()
    home = load_settings().home
    if not IMAGES.exists():
        raise SourceUnreadable(f"the demo's images are not at {IMAGES}; run it from a clone of the project")
    _require_own_servers(load_settings(), local.recorded(home))
    ran = local.running(home)
    with signals_end(), ExitStack() as closing:
        if not keep:
            closing.callback(local.stop_others, home, ran)
        with _telling_what_is_stopped():
            shown = _show(home, keep, closing)
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


def _show(home: Path, keep: bool, closing: ExitStack) -> _Shown:
    start_stack(home)
    settings = load_settings()
    seed(Repository(settings.model_repository, limits=settings.verify_limits()))
    ensure_topics(settings)
    worker = closing.enter_context(background_worker(home, keep, settings.stop_timeout_s + 10))
    _wait(worker.is_ready, "the worker to start")
    photos = photo_settings(settings)
    photographer = closing.enter_context(photo_worker(photos, keep, settings.stop_timeout_s + 10))
    run = _open_run(settings, closing)
    report = _classify(settings, run, worker)
    problems = show_results(run, expected=report.sent - 1)
    show_dead_letter(run)
    _wait(photographer.is_ready, "the worker of photos to start")
    problems += show_photos(photos, photographer)
    return _Shown(photos, worker.is_left and photographer.is_left, problems)


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
    kudu.tables()  # connects, so that the first look at the images is not slow
    already = {topic: observer.progress(topic) for topic in (settings.images_topic, settings.dead_topic)}
    return Run(settings, observer, kudu, solr, datetime.now(UTC), already)


def _wait(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not done():
        if time.monotonic() > deadline:
            raise StreamError(
                f"waited {_TIMEOUT_S:.0f} s for {what}. Look at `flumen status` and `flumen doctor`"
            )
        time.sleep(0.05)


def _classify(settings: Settings, run: Run, worker: BackgroundWorker) -> PublishReport:
    """Publish the images from a thread, and show how they go through until every one is done."""
    with ThreadPoolExecutor(1, "publish") as background, Live(console=console, refresh_per_second=8) as live:
        publishing = background.submit(_publish, settings)
        before, moved_at = run.snapshot(), time.monotonic()
        while True:
            worker.check()
            now = run.snapshot()
            live.update(live_table(now))
            if _is_done(publishing, now):
                run.solr.commit()
                live.update(live_table(run.snapshot()))
                return publishing.result()
            if now.acknowledged != before.acknowledged:
                before, moved_at = now, time.monotonic()
            if time.monotonic() - moved_at > _TIMEOUT_S:
                raise StreamError(
                    f"no image was finished for {_TIMEOUT_S:.0f} s; look at {settings.home}/logs"
                )
            time.sleep(_REFRESH_S)


def _is_done(publishing: "Future[PublishReport]", now: Snapshot) -> bool:
    if not publishing.done():
        return False
    report = publishing.result()
    if report.failed:
        raise StreamError(f"{report.failed} images were not published: {report.failures[0]}")
    return now.acknowledged == now.published


def _publish(settings: Settings) -> PublishReport:
    def unreadable(error: SourceUnreadable) -> None:
        raise error

    options = SourceOptions(None, False, settings.max_image_bytes)
    images = read_images(find_files([IMAGES], unreadable), options, unreadable)
    first = next(images)
    everything = chain([first], images, [_broken(first)])
    return publish(everything, settings.producer_config(), settings.images_topic, None, lambda _: None)


def _broken(image: SourceImage) -> SourceImage:
    """Return the first half of an image, to be refused on purpose."""
    half = image.content[: len(image.content) // 2]
    return replace(image, id="broken-on-purpose", name="broken.png", content=half)
