"""`flumen audit`: whether the index in Solr says of every image what Kudu says, and whether Kudu has all of it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flumen.cli.looking_back.correcting import correcting, say
from flumen.cli.output import AsJson, how_many, pace, print_json, print_rows, progress_bar
from flumen.streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from flumen.replay.audit import Report, Stage
    from flumen.replay.corrections import Corrector
    from flumen.stores.kudu import KuduReader

_GRACE_S = 10.0
_ATTEMPTS = 2
"""Orphans are kept for as long as so many requests to Kudu may take, each as long as it may."""
_LONGEST_ID = 60
_SHOWN = 3
_WHAT_TO_DO = {
    "refused": "Solr does not take what these rows hold; the reason stands beside them. Publish the images again with "
    "shorter values, or delete them",
    "incomplete": "Kudu has not all chunks of these images: `flumen audit --fix` takes them from its past where it has "
    "one; else publish the images again, or delete them",
    "damaged": "Kudu has other bytes than these images had when they came: publish them again, or delete them",
}
_BY_FIX = frozenset({"missing", "extra", "stale", "different", "uncorrected", "orphan"})
_STAGES: "dict[Stage, str]" = {
    "rows": "rows of Kudu",
    "documents": "documents of Solr",
    "chunks": "images with chunks left",
    "second look": "looking again",
}


def audit(
    *,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Index from Kudu what is missing or differs; delete what is extra, and chunks that no row names.",
        ),
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Fill an index, made if it is not there, from Kudu.")
    ] = False,
    where: Annotated[
        str, typer.Option(help="Only images of which this holds, as `flumen sql` has it behind WHERE.")
    ] = "",
    grace: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=86_400,
            help="Seconds after which what differs is looked at again; 10, unless it is given. 0 where nobody writes.",
        ),
    ] = None,
    originals: Annotated[
        bool, typer.Option("--originals", help="Read all images, and hold their bytes against their sha256.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the index in Solr with Kudu, image by image and column by column, and mend it."""
    from flumen.interceptor import Kind, load_chain, merge_columns
    from flumen.interceptor.classify import EMBEDDING
    from flumen.replay.audit import Audit, Beside, Pace
    from flumen.stores.kudu import KuduChunks, KuduReader
    from flumen.stores.solr import SolrSink
    from flumen.stores.solr.documents import SolrDocuments

    if originals and where:
        raise typer.BadParameter("--originals reads all images: leave out --where")
    settings = load_settings()
    chain = load_chain(settings.interceptors)
    columns = [
        column
        for column in merge_columns(step.columns for step in chain)
        if column.kind is not Kind.BINARY or column.name == EMBEDDING
    ]
    kudu = settings.kudu_options()
    waits = Pace(grace_s=_GRACE_S, orphans_s=max(_GRACE_S, _ATTEMPTS * kudu.timeout_s))
    if rebuild or grace is not None:
        waits = Pace(grace_s=grace or 0.0, orphans_s=grace or 0.0)
    with (
        closing(KuduReader(kudu)) as tables,
        closing(SolrDocuments(settings.solr_options(), columns)) as documents,
        progress_bar() as bar,
    ):
        tables.schema("images")  # no index is made for tables that are not there
        if rebuild:
            with closing(SolrSink(settings.solr_options(), columns)) as sink:
                sink.connect()
        documents.connect()
        totals: dict[Stage, int] = {}
        if not where and not bar.disable:
            totals = {"rows": tables.count(), "documents": documents.count()}
        with _corrections(settings, tables) as corrected, closing(KuduChunks(kudu)) as chunks:
            looking = Audit(
                tables,
                documents,
                columns,
                fix=fix or rebuild,
                pace=waits,
                beside=Beside(
                    corrected=corrected, pieces=not rebuild or fix, chunks=chunks, originals=originals
                ),
                report=_Shown(bar, totals),
            )
            report = looking.run(where)
    _show(report, as_json=as_json, mends=fix or rebuild)
    if report.left:
        raise typer.Exit(1)


def _corrections(
    settings: Settings, tables: "KuduReader"
) -> "AbstractContextManager[Corrector] | AbstractContextManager[None]":
    """Open what was corrected; there is nothing where nobody has corrected anything, and nothing is made for it."""
    if "kudu" in settings.sinks and "corrections" in tables.tables():
        return correcting(settings, "")
    return nullcontext()


class _Shown:
    """Shows how far an audit is: a line for each stage, with its rate and what it has still to take."""

    def __init__(self, bar: "Progress", totals: "Mapping[Stage, int]") -> None:
        self._bar = bar
        self._totals = totals
        self._tasks: dict[Stage, tuple[TaskID, float]] = {}
        self._seen: dict[Stage, int] = {}
        self._last = monotonic()

    def __call__(self, stage: "Stage", more: int) -> None:
        total = self._totals.get(stage)
        if stage not in self._tasks:
            task = self._bar.add_task(_STAGES[stage], total=total, note="")
            self._tasks[stage] = task, self._last
        self._last = monotonic()
        task, began = self._tasks[stage]
        seen = self._seen[stage] = self._seen.get(stage, 0) + more
        self._bar.update(task, advance=more, note=pace(seen, self._last - began, total))


def _show(report: "Report", *, as_json: bool, mends: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "kind": kind,
            "found": counts.found,
            "mended": counts.mended,
            "for_example": [{"id": each.image_id, "what": list(each.columns)} for each in counts.examples],
        }
        for kind, counts in report.counts.items()
    ]
    if as_json:
        print_json({"images": report.images, "moving": report.moving, "left": report.left, "kinds": rows})
        return
    found = [row for row in rows if row["found"]]
    if found:
        shown = [row | {"for_example": _in_words(row["for_example"], row["found"])} for row in found]
        if not mends:
            shown = [{name: value for name, value in row.items() if name != "mended"} for row in shown]
        print_rows(shown, as_json=False)
    moving = f"; {how_many(report.moving, 'image')} changed meanwhile" if report.moving else ""
    say(f"{how_many(report.images, 'image of Kudu was', 'images of Kudu were')} compared with Solr{moving}.")
    if not found:
        say("The index says what Kudu says.")
        return
    kinds = {row["kind"] for row in found if row["found"] > row["mended"]}
    if not kinds:
        say("All of it is mended.")
    elif not mends and kinds & _BY_FIX:
        say(
            "`flumen audit --fix` indexes from Kudu what is missing, stale or different, deletes what is extra and "
            "chunks that no row names, and brings corrections into the stores."
        )
    elif kinds & _BY_FIX:
        say("What is left may have been written at the same time: give the command again.")
    for kind, advice in _WHAT_TO_DO.items():
        if kind in kinds:
            say(f"{kind}: {advice}.")


def _in_words(examples: list[dict[str, Any]], found: int) -> str:
    shown = [
        each["id"][:_LONGEST_ID] + (f" ({', '.join(each['what'][:5])})" if each["what"] else "")
        for each in examples[:_SHOWN]
    ]
    more = found - len(shown)
    return "; ".join(shown) + (f"; and {more:,} more" if more else "")
