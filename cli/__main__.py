"""`python -m cli` is `flumen`."""

from cli.main import run

run()
