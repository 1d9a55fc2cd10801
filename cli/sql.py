"""`flumen sql`."""

from base64 import b64encode
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flumen.cli.output import AsJson, print_json, print_rows
from flumen.streams.settings import load_settings

if TYPE_CHECKING:
    from flumen.stores.kudu import KuduReader


def sql(
    statement: Annotated[str, typer.Argument(help="One SELECT, WITH, DESCRIBE, SHOW or EXPLAIN.")],
    explain: Annotated[
        bool, typer.Option("--explain", help="Print what was pushed down to Kudu instead of the result.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask Kudu in SQL: tables images, predictions, image_chunks, view_chunks, model_runs; views answers, mnist."""
    from flumen.replay.sql.memory import bounded_memory, bytes_to_use
    from flumen.stores.kudu import KuduReader

    reader = KuduReader(load_settings().kudu_options())
    with bounded_memory(bytes_to_use()):
        _answer(reader, statement, explain=explain, as_json=as_json)


def _answer(reader: "KuduReader", statement: str, *, explain: bool, as_json: bool) -> None:
    from flumen.replay.sql import query

    try:
        result = query(reader, statement)
    finally:
        reader.close()
    if explain:
        columns: tuple[str, ...] = ("table", "columns_read", "tested_by_kudu", "rows_read")
        rows: list[tuple[Any, ...]] = [
            (scan.table, ", ".join(scan.columns), " and ".join(map(str, scan.predicates)), scan.rows)
            for scan in result.scans
        ]
    else:
        columns, rows = tuple(result.columns), list(result.rows)
    shown = [dict(zip(columns, (_cell(value, as_json) for value in row), strict=True)) for row in rows]
    if as_json:
        print_json(shown)
    else:
        print_rows(shown, as_json=False, columns=columns)


def _cell(value: Any, as_json: bool) -> Any:
    """Return bytes as base64 for programs, and as their number for people."""
    if not isinstance(value, bytes):
        return value
    return b64encode(value).decode() if as_json else f"{len(value):,} bytes"
