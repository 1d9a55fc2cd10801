"""`flumen search`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from flumen.cli.by import By
from flumen.cli.output import AsJson, console, how_many, print_json, print_rows
from flumen.interceptor import Column, Kind, load_chain, merge_columns
from flumen.streams.settings import load_settings

_SHOWN = ("id", "label", "confidence", "format", "width", "height")


def search(
    query: Annotated[
        str, typer.Argument(help="In Solr's language: 'label:7 AND aperture:[0 TO 2.8]'.")
    ] = "*:*",
    *,
    facet: Annotated[
        list[str] | None, typer.Option(help="Count the values of this column. May be given more than once.")
    ] = None,
    near: Annotated[
        str | None, typer.Option(metavar="LAT,LON,RADIUS", help="Only within a circle: 52.5,13.4,10km.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="As 'sharpness desc'; else the nearest first, or the newest.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, max=10_000, help="Images to show.")] = 10,
    facet_limit: Annotated[int, typer.Option(min=1, max=10_000, help="Values of a facet to show.")] = 20,
    models: Annotated[
        bool, typer.Option("--models", help="Search models, as 'accuracy:[0.98 TO *]', in place of images.")
    ] = False,
    like: Annotated[
        str | None, typer.Option(metavar="ID", help="Only images that look like this one, the nearest first.")
    ] = None,
    within: Annotated[
        int | None, typer.Option(min=0, max=15, help="Bits that --like lets differ, of 63; else 7.")
    ] = None,
    by: Annotated[
        By | None,
        typer.Option(
            help="What --like goes by: how pictures look (hash), or what their model sees in them (embedding)."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Search the index: by what the model said, by what an image says of itself, by place, by how it looks."""
    from flumen.cli.alike import show_like
    from flumen.stores.solr import SolrReader
    from flumen.stores.solr.schema import index_fields
    from flumen.stores.solr.search import DISTANCE, Search, parse_near

    if like is None and (within is not None or by is not None):
        raise typer.BadParameter("--within and --by go with --like ID")
    if like is not None and (near or facet or sort or models):
        raise typer.BadParameter("--like goes with a query, --by, --within and --limit, and nothing else")
    if by is By.EMBEDDING and within is not None:
        raise typer.BadParameter("--within is in bits, of hashes: leave it out, or give --by hash")
    settings = load_settings()
    if models:
        from flumen.cli.models.index import search_models

        if near:
            raise typer.BadParameter("--near is for images; models are at no place")
        search_models(settings, query, facet or (), sort, limit, facet_limit, as_json)
        return
    columns = merge_columns(interceptor.columns for interceptor in load_chain(settings.interceptors))
    question = Search(
        query=query,
        near=parse_near(near) if near else None,
        facets=tuple(dict.fromkeys(facet or ())),
        facet_limit=facet_limit,
        rows=limit,
        sort=sort,
        fields={column.column.name: column.name for column in index_fields(columns)},
    )
    reader = SolrReader(settings.solr_options())
    try:
        if like is not None:
            by = by or (By.HASH if within is not None else None)
            show_like(reader, like, question, by, within, lambda rows: _with_times(rows, columns), as_json)
            return
        found = reader.find(question)
    finally:
        reader.close()
    rows = _with_times(found.rows, columns)
    if as_json:
        facets = {
            name: [{"value": value, "count": count} for value, count in values]
            for name, values in found.facets.items()
        }
        print_json({"found": found.total, "images": rows, "facets": facets})
        return
    shown = [*_SHOWN, *question.facets, *([DISTANCE] if near else [])]
    if rows:
        print_rows([{name: row.get(name) for name in dict.fromkeys(shown)} for row in rows], as_json=False)
    console.print(f"{how_many(found.total, 'image')} found, {len(rows):,} shown", highlight=False)
    for name, values in found.facets.items():
        print_rows(
            [{name: value, "images": count} for value, count in values],
            as_json=False,
            columns=(name, "images"),
        )


def _with_times(rows: Sequence[Any], columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return the rows with times in ISO 8601, UTC."""
    times = [column.name for column in columns if column.kind is Kind.TIMESTAMP]
    return [
        {**row, **{name: _iso(row[name]) for name in times if isinstance(row.get(name), int)}} for row in rows
    ]


def _iso(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).isoformat(timespec="milliseconds")
