"""`flumen tables`: bringing tables and index up to what workers write."""

import contextlib
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from flumen.cli.backfill import backfill
from flumen.cli.output import AsJson, errors, print_rows
from flumen.streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from flumen.stores.migration import Migration

app = typer.Typer(
    help="Bring the stores up to what workers write: tables in Kudu, the index in Solr, files.",
    no_args_is_help=True,
)

_COLUMNS = ("store", "table", "column", "type")
_HASH = "perceptual_hash"
_NEXT = "Workers that run go on without them; start them again to fill them. What is stored already has none."


@app.callback()
def tables() -> None:
    """Bring the stores up to what workers write: tables in Kudu, the index in Solr, files."""


@app.command()
def migrate(
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what is missing, and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add the columns and fields that the interceptors of the settings write and that are not there yet.

    Nothing is ever dropped, renamed or given another type.
    """
    with contextlib.ExitStack() as closing:
        migrations = [
            closing.enter_context(contextlib.closing(each)) for each in _migrations(load_settings())
        ]
        plan = [addition for migration in migrations for addition in migration.plan()]
        if plan or as_json:
            print_rows([asdict(addition) for addition in plan], as_json, columns=_COLUMNS)
        if not plan:
            _say(
                "Nothing is missing: the stores that are there have what workers write. "
                "Those that are not, the first worker makes."
            )
            return
        if dry_run:
            _say("Nothing was changed. Without --dry-run these columns are added.")
            return
        if not yes:
            _ask()
        for migration in migrations:
            migration.apply()
    _say(f"Added: {len(plan)}. {_NEXT}")
    if any(addition.column == _HASH for addition in plan):
        _say("`flumen tables backfill` gives images that are stored already their perceptual hash.")


app.command()(backfill)


def _migrations(settings: Settings) -> "list[Migration]":
    from flumen.interceptor import load_chain, merge_columns
    from flumen.streams.sinks import chosen_stores, make_migrations

    columns = merge_columns(step.columns for step in load_chain(settings.interceptors))
    return make_migrations(chosen_stores(settings), columns)


def _ask() -> None:
    """Ask for a yes.

    Raises:
        typer.Exit: it was no, or there is nobody to ask.
    """
    if not sys.stdin.isatty():
        _say("Nothing was changed: there is no terminal to ask on. Add --yes")
        raise typer.Exit(1)
    if not typer.confirm("Add what is missing?", err=True):
        _say("Nothing was changed.")
        raise typer.Exit(1)


def _say(text: str) -> None:
    errors.print(text, highlight=False, soft_wrap=True)
