"""How this `flumen` is called from here, so that a command that is shown can be copied as it stands."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

HOME = "FLUMEN_HOME"


def as_typed(*arguments: str, settings: Mapping[str, str] | None = None) -> str:
    """Return a command line for a POSIX shell in the current folder: `settings` by name, this program, `arguments`.

    The folder of the servers is named too where the environment names it.
    """
    home = {HOME: os.environ[HOME]} if os.environ.get(HOME) else {}
    given = {f"FLUMEN_{name.upper()}": value for name, value in (settings or {}).items()}
    names = [f"{name}={shlex.quote(value)}" for name, value in (home | given).items()]
    return " ".join([*names, program(), *map(shlex.quote, arguments)])


def as_called(text: str) -> str:
    """Return a message with every command in it, in backquotes, as one types it here."""
    return text.replace("`flumen ", f"`{program()} ")


def program() -> str:
    """Return what runs this flumen: its name where the shell finds it by that, else its path, else its module."""
    script = Path(sys.executable).with_name("flumen")
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m flumen"
    found = shutil.which("flumen")
    if found is not None and Path(found).samefile(script):
        return "flumen"
    return shlex.quote(from_here(script))


def from_here(path: Path) -> str:
    """Return a path as one writes it in the current folder: relative where it lies in it, else absolute."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` would follow a link out of the folder
    here = Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)
