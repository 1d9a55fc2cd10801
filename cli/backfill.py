"""`flumen tables backfill`: what images that are stored already came without."""

from contextlib import ExitStack, closing
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from flumen.cli.output import AsJson, console, errors, how_many, pace, print_json, progress_bar
from flumen.streams.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from flumen.interceptor import Preprocess
    from flumen.models.repository import Repository
    from flumen.replay.backfill import Report
    from flumen.stores.hashes import HashSink
    from flumen.streams.settings import Settings

_KUDU, _SOLR = "kudu", "solr"


def backfill(
    share: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="Of one core's time, at most: 0.25 is a quarter, beside workers."),
    ] = None,
    root: Annotated[str | None, typer.Option(help="Model repository: a folder or an fsspec URL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Give images that were stored without a perceptual hash theirs, in Kudu and in Solr.

    End it at any time: run again, it goes on with what has none yet.
    """
    from flumen.models.processes.decoder import GuardedDecoder
    from flumen.models.repository import Repository
    from flumen.replay.backfill import Backfill
    from flumen.replay.reclassify.working import Throttle
    from flumen.stores.kudu import KuduReader

    settings = load_settings()
    if _KUDU not in settings.sinks:
        raise typer.BadParameter(
            "hashes are computed from the images in Kudu, and the setting sinks names no kudu"
        )
    with ExitStack() as stack:
        tables = stack.enter_context(closing(KuduReader(settings.kudu_options())))
        decoder = stack.enter_context(closing(GuardedDecoder()))
        sinks = [stack.enter_context(closing(sink)) for sink in _sinks(settings)]
        bar = stack.enter_context(progress_bar())
        total, seen, began = 0, 0, monotonic()
        task = bar.add_task("images", total=None, note="")

        def begin(images: int) -> None:
            nonlocal total, began
            total, began = images, monotonic()
            bar.update(task, total=total)

        def tell(more: int) -> None:
            nonlocal seen
            seen += more
            bar.update(task, advance=more, note=pace(seen, monotonic() - began, total, " images/s"))

        of_models = _preprocess_of(Repository(root or settings.model_repository))
        filling = Backfill(tables, sinks, of_models, settings.limits(), decoder, tell)
        for sink in sinks:
            sink.connect()
        report = filling.run(begin, Throttle(share).pause)
    _print(report, as_json)


def _sinks(settings: "Settings") -> "list[HashSink]":
    from flumen.stores.kudu import KuduHashes
    from flumen.stores.solr import SolrHashes

    # Kudu's comes last: its rows say what is still to do.
    solr: list[HashSink] = [SolrHashes(settings.solr_options())] if _SOLR in settings.sinks else []
    return [*solr, KuduHashes(settings.kudu_options())]


def _preprocess_of(repository: "Repository") -> "Callable[[str, int], Preprocess | None]":
    from flumen.models.errors import ModelError

    @cache
    def preprocess_of(name: str, version: int) -> "Preprocess | None":
        try:
            return repository.manifest(name, version).input.preprocess
        except ModelError:
            return None

    return preprocess_of


def _print(report: "Report", as_json: bool) -> None:
    left_out = {reason: count for reason, count in report.left_out.items() if count}
    if as_json:
        examples = {
            reason: [{"id": image_id, "why": why} for image_id, why in named]
            for reason, named in report.examples.items()
        }
        print_json(
            {"images": report.images, "hashed": report.hashed, "left_out": left_out, "for_example": examples}
        )
        return
    console.print(
        f"{report.hashed:,} of {how_many(report.images, 'image')} got their perceptual hash.", highlight=False
    )
    for reason, count in left_out.items():
        named = report.examples.get(reason, [])
        shown = "; ".join(f"{image_id:.80}{f' ({why:.200})' if why else ''}" for image_id, why in named)
        errors.print(
            f"left out {count:,} {reason}{f', for example {shown}' if shown else ''}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
