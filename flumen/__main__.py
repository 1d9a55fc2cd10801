"""`python -m flumen` is `flumen`."""

from flumen.cli.main import run

run()
