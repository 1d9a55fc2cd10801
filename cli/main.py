"""The `flumen` command: every verb is registered here, and every error of ours ends here.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a server is down (`flumen status`), 128 and a signal's number for what a
signal ended: 130 after Ctrl-C, 143 after SIGTERM.
"""

import sys

import typer

from cli import dead, demo, images, keys, models, produce, search, settings, sql, stack, train, worker
from cli.output import print_error
from interceptor.errors import InterceptorError
from models.errors import ModelError
from replay.errors import ReplayError
from stack.errors import StackError
from stores.errors import StoreError
from streams.errors import StreamError

app = typer.Typer(
    name="flumen",
    help="Classify images as they arrive.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up", rich_help_panel="Stack")(stack.up)
app.command("down", rich_help_panel="Stack")(stack.down)
app.command("status", rich_help_panel="Stack")(stack.status)
app.command("doctor", rich_help_panel="Stack")(stack.doctor)
app.command("demo", rich_help_panel="Images")(demo.demo)
app.command("worker", rich_help_panel="Images")(worker.worker)
app.command("produce", rich_help_panel="Images")(produce.produce)
app.command("search", rich_help_panel="Images")(search.search)
app.command("sql", rich_help_panel="Images")(sql.sql)
app.command("settings", rich_help_panel="Images")(settings.settings)
app.command("train", rich_help_panel="Models")(train.train)
app.add_typer(images.app, name="images", rich_help_panel="Images")
app.add_typer(dead.app, name="dead", rich_help_panel="Images")
app.add_typer(models.app, name="models", rich_help_panel="Models")
app.add_typer(keys.app, name="keys", rich_help_panel="Models")

OUR_ERRORS = (InterceptorError, ModelError, ReplayError, StackError, StoreError, StreamError)


def run() -> None:
    """Run the command line; our own errors become one message on standard error and exit code 1."""
    try:
        app()
    except OUR_ERRORS as error:
        print_error(error)
        sys.exit(1)
