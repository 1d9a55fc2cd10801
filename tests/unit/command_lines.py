"""Command lines as texts show them, and whether `flumen` would take them."""

import shlex
from collections.abc import Iterator
from typing import Any

import typer

from flumen.cli.commands import ENTRIES, load
from flumen.cli.main import app


def root() -> Any:
    """Return the whole tree of commands; nothing of it is left to be loaded when it is used."""
    command: Any = typer.main.get_command(app)
    command.commands = {entry.name: load(entry) for entry in ENTRIES}
    return command


ROOT_COMMAND = root()


def accept(arguments: list[str]) -> None:
    """Let the command line read the arguments, and run nothing."""
    command = ROOT_COMMAND
    while arguments:
        context = command.make_context("flumen", list(arguments))
        if not hasattr(command, "resolve_command"):
            return
        _, command, arguments = command.resolve_command(context, list(arguments))


def accept_named(words: list[str]) -> None:
    """Hold what prose names, perhaps without the arguments: the command and each option have to be there."""
    command = ROOT_COMMAND
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    assert {word for word in words if word.startswith("-")} <= options, f"not all of {words} are there"


def commands_in(script: str) -> Iterator[list[str]]:
    """Yield the simple commands of a shell script: pipes, lists and substitutions are taken apart."""
    line = ""
    for part in script.splitlines():
        line = f"{line.removesuffix(chr(92))}{part.removeprefix('$ ') if not line else part}"
        if line.endswith("\\"):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:  # a quotation that goes on
            line += "\n"
            continue
        line = ""
        command: list[str] = []
        for word in [*words, ";"]:
            if not set(word) <= set("();<>|&"):
                command.append(word)
            elif command:
                yield command
                command = []
    assert not line, f"ends within a quotation: {line!r}"


def without_settings(command: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return the names that are set before a command, and the command."""
    names: dict[str, str] = {}
    for word in command:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            break
        names[name] = value
    return names, command[len(names) :]
