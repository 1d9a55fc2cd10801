"""`flumen audit`: whether the index in Solr says of every image what Kudu says."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flumen.cli.looking_back.correcting import say
from flumen.cli.output import AsJson, print_json, print_rows, progress_bar
from flumen.streams.settings import load_settings

if TYPE_CHECKING:
    from flumen.replay.audit import Report

_LONGEST_ID = 80
_WHAT_TO_DO = {
    "incomplete": "of these images Kudu has not all pieces: publish them again",
    "refused": "Solr does not take these rows: the reason stands beside them",
}


def audit(
    *,
    fix: Annotated[
        bool, typer.Option("--fix", help="Index from Kudu what is missing or differs; delete what is extra.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Fill an index, made if it is not there, from Kudu.")
    ] = False,
    where: Annotated[
        str, typer.Option(help="Only images of which this holds, as `flumen sql` has it behind WHERE.")
    ] = "",
    grace: Annotated[
        float, typer.Option(min=0, max=86_400, help="Seconds after which what differs is looked at again.")
    ] = 10.0,
    as_json: AsJson = False,
) -> None:
    """Compare the index in Solr with Kudu, image by image and column by column, and mend it."""
    from flumen.interceptor import Kind, load_chain, merge_columns
    from flumen.interceptor.classify import EMBEDDING
    from flumen.replay.audit import Audit
    from flumen.stores.kudu import KuduReader
    from flumen.stores.solr import SolrSink
    from flumen.stores.solr.documents import SolrDocuments

    settings = load_settings()
    chain = load_chain(settings.interceptors)
    columns = [
        column
        for column in merge_columns(step.columns for step in chain)
        if column.kind is not Kind.BINARY or column.name == EMBEDDING
    ]
    with (
        closing(KuduReader(settings.kudu_options())) as tables,
        closing(SolrDocuments(settings.solr_options(), columns)) as documents,
        progress_bar() as bar,
    ):
        task = bar.add_task("auditing", total=tables.count() if not where else None, note="")
        if rebuild:
            with closing(SolrSink(settings.solr_options(), columns)) as sink:
                sink.connect()
        documents.connect()
        looking = Audit(
            tables,
            documents,
            columns,
            fix=fix or rebuild,
            grace_s=0.0 if rebuild else grace,
            report=lambda more: bar.advance(task, more),
        )
        report = looking.run(where)
    _show(report, as_json=as_json, mends=fix or rebuild)
    if report.left:
        raise typer.Exit(1)


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
        print_rows([row | {"for_example": _in_words(row["for_example"])} for row in found], as_json=False)
    moving = f"; {report.moving:,} changed meanwhile" if report.moving else ""
    say(f"{report.images:,} images of Kudu were compared with Solr{moving}.")
    if not found:
        say("The index says what Kudu says.")
    elif report.left and not mends:
        say(
            "`flumen audit --fix` indexes from Kudu what is missing, stale or different, and deletes what is extra."
        )
    for kind, advice in _WHAT_TO_DO.items():
        if any(row["kind"] == kind for row in found):
            say(f"{kind}: {advice}.")


def _in_words(examples: list[dict[str, Any]]) -> str:
    shown = examples[:3]
    return "; ".join(
        each["id"][:_LONGEST_ID] + (f" ({', '.join(each['what'][:5])})" if each["what"] else "")
        for each in shown
    )
