"""`flumen sql`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

import typer

from flumen.cli.interruption import signals_end
from flumen.cli.new_file import new_file
from flumen.cli.output import AsJson, errors, how_many, print_rows
from flumen.streams.settings import load_settings

if TYPE_CHECKING:
    from flumen.stores.kudu import KuduReader

THREADS = 2
"""So many read a table at once: a scan of a million rows takes two thirds of the time, a look-up as long as by one."""

Format = Literal["table", "csv", "json", "jsonl", "arrow", "parquet"]


@dataclass(frozen=True, slots=True)
class _Question:
    statement: str
    at_us: int | None


def sql(
    statement: Annotated[str, typer.Argument(help="One SELECT, WITH, DESCRIBE, SHOW or EXPLAIN.")],
    *,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="The tables as they were then: 2026-03-01T12:00:00Z, or '2 hours ago'.",
        ),
    ] = None,
    format_name: Annotated[
        Format | None,
        typer.Option("--format", help="How rows are written; else by the ending of --output, or as a table."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file, and not to standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --output replace a file.")] = False,
    spreadsheet: Annotated[
        bool,
        typer.Option(
            "--spreadsheet", help="In CSV, put an apostrophe before texts that would be taken for formulas."
        ),
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print what was pushed down to Kudu instead of the result.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask Kudu in SQL: images, predictions, image_chunks, model_runs, experiment_runs, ...; answers, mnist."""
    from flumen.replay.sql.memory import bounded_memory, bytes_to_use
    from flumen.replay.sql.moments import moment_us
    from flumen.stores.kudu import KuduReader

    chosen = _format(format_name, output, explain=explain, as_json=as_json)
    if spreadsheet and chosen != "csv":
        raise typer.BadParameter("--spreadsheet is for --format csv")
    question = _Question(statement, None if at is None else moment_us(at, datetime.now(UTC)))
    reader = KuduReader(load_settings().kudu_options())
    try:
        with bounded_memory(bytes_to_use()):
            if explain:
                _explain(reader, question, as_json=chosen == "json")
            elif chosen == "table":
                _print_table(reader, question)
            else:
                with signals_end(), _file(output, force) as file:
                    try:
                        _write(reader, question, chosen, file, spreadsheet)
                    except BrokenPipeError as error:
                        # What it was in the middle of is let go: DuckDB complains of what is left at the end.
                        raise error.with_traceback(None) from None
    finally:
        reader.close()


def _format(named: Format | None, output: Path | None, *, explain: bool, as_json: bool) -> str:
    """Return the format that is asked for.

    Raises:
        typer.BadParameter: it does not go with what else is asked for.
    """
    from flumen.replay.sql.formats import BINARY_FORMATS, ENDINGS

    if as_json and named not in (None, "json"):
        raise typer.BadParameter(f"--json is --format json, and here is --format {named}")
    chosen = "json" if as_json else named
    if chosen is None and output is not None:
        chosen = ENDINGS.get(output.suffix.lower(), "table")  # type: ignore[assignment] # of the same names
    chosen = chosen or "table"
    if explain and (output is not None or chosen not in ("table", "json")):
        raise typer.BadParameter("--explain prints a table or, with --json, JSON, and writes no file")
    if output is not None and chosen == "table":
        raise typer.BadParameter(f"say with --format what {str(output)!r} is to hold: csv, json, parquet ...")
    if output is None and chosen in BINARY_FORMATS and sys.stdout.isatty():
        raise typer.BadParameter(
            f"a terminal shows no {chosen}; give --output FILE, or send it on with > or |"
        )
    return chosen


def _explain(reader: "KuduReader", question: _Question, *, as_json: bool) -> None:
    from flumen.replay.sql import query_batches

    with query_batches(reader, question.statement, question.at_us, THREADS) as batches:
        for _ in batches:
            pass
        scans = batches.scans
    columns = ("table", "columns_read", "tested_by_kudu", "rows_read", "bytes_read")
    rows = [
        (scan.table, ", ".join(scan.columns), " and ".join(map(str, scan.predicates)), scan.rows, scan.bytes)
        for scan in scans
    ]
    print_rows([dict(zip(columns, row, strict=True)) for row in rows], as_json, columns=columns)


def _print_table(reader: "KuduReader", question: _Question) -> None:
    from flumen.replay.sql import query

    result = query(reader, question.statement, question.at_us, THREADS)
    rows = [dict(zip(result.columns, map(_cell, row), strict=True)) for row in result.rows]
    print_rows(rows, as_json=False, columns=result.columns)


def _write(
    reader: "KuduReader", question: _Question, format_name: str, file: BinaryIO, spreadsheet: bool
) -> None:
    from flumen.replay.sql import query_batches
    from flumen.replay.sql.formats import CsvWriter, open_writer

    with query_batches(reader, question.statement, question.at_us, THREADS) as batches:
        writer = open_writer(format_name, file, batches.schema, spreadsheet)
        for rows in batches:
            writer.write(rows)
        writer.finish()
    file.flush()
    if isinstance(writer, CsvWriter) and writer.formulas and not spreadsheet:
        errors.print(
            f"{how_many(writer.formulas, 'cell begins', 'cells begin')} as a formula does (= + - @). Before a "
            "spreadsheet opens this, write it with --spreadsheet",
            soft_wrap=True,
            highlight=False,
        )


@contextmanager
def _file(output: Path | None, force: bool) -> Iterator[BinaryIO]:
    if output is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        return
    with new_file(output, force) as file:
        yield file


def _cell(value: Any) -> Any:
    """Return bytes as their number: people read none."""
    return how_many(len(value), "byte") if isinstance(value, bytes) else value
