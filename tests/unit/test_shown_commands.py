"""What the demo says at its end can be copied: the program is found, the options are there, the settings exist."""

import ast
import os
import shlex
import sys
from pathlib import Path

import pytest
from command_lines import accept
from rich.console import Console
from typer.testing import CliRunner

from flumen.cli.demo.demo import IMAGES
from flumen.cli.demo.photos import photo_settings
from flumen.cli.demo.report import ARTICLE_QUERIES, Left, farewell, next_commands
from flumen.cli.invocation import as_typed, program
from flumen.cli.main import app
from flumen.cli.output import print_error
from flumen.stack.errors import StackError
from flumen.streams.settings import Settings

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("flumen")
RUNNING, STOPPED = Left(servers=True, workers=True), Left(servers=False, workers=False)


@pytest.fixture
def photos(tmp_path: Path) -> Settings:
    return photo_settings(Settings(home=tmp_path))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a user's, whose shell finds no flumen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("FLUMEN_HOME", raising=False)
    return tmp_path


def parsed(line: str) -> tuple[dict[str, str], Path | str, list[str]]:
    """Read a line as a shell does: settings, program, arguments."""
    words = shlex.split(line)
    settings = dict(word.split("=", 1) for word in words if word.startswith("FLUMEN_"))
    return settings, words[len(settings)], words[len(settings) + 1 :]


@pytest.mark.parametrize("left", [RUNNING, Left(servers=True, workers=False), STOPPED], ids=str)
def test_every_command_of_the_farewell_is_one(elsewhere: Path, photos: Settings, left: Left) -> None:
    commands = next_commands(photos, IMAGES, left)
    assert len(commands) >= 7
    for line in commands:
        settings, called, arguments = parsed(line)
        assert called == str(PROGRAM)
        assert {name.removeprefix("FLUMEN_").lower() for name in settings} <= Settings.model_fields.keys()
        accept(arguments)
    assert all(line in farewell(photos, IMAGES, left, 1.0) for line in commands)
    (images,) = (parsed(line)[2][1] for line in commands if " produce " in line)
    assert Path(images).exists()


def test_servers_that_are_down_are_started_first(elsewhere: Path, photos: Settings) -> None:
    up, down = as_typed("up"), as_typed("down", "--purge")
    lines = list(next_commands(photos, IMAGES, STOPPED))
    assert (lines[0], lines[-1]) == (up, down)
    assert lines.index(as_typed("worker")) < next(i for i, line in enumerate(lines) if " produce " in line)
    assert f"start them again with `{up}`" in farewell(photos, IMAGES, STOPPED, 1.0)
    assert up not in next_commands(photos, IMAGES, RUNNING)


@pytest.mark.parametrize("statement", ARTICLE_QUERIES)
def test_a_statement_of_several_lines_is_one_word(elsewhere: Path, statement: str) -> None:
    assert parsed(as_typed("sql", statement)) == ({}, str(PROGRAM), ["sql", statement])


def test_the_program_is_called_as_the_shell_finds_it(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = PROGRAM.parent
    assert program() == str(PROGRAM)
    monkeypatch.chdir(folder.parent.parent)
    assert program() == f"{folder.parent.name}/bin/flumen"
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin")
    assert program() == "flumen"
    other = elsewhere / "flumen"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{elsewhere}{os.pathsep}{folder}")
    assert program() == f"{folder.parent.name}/bin/flumen"


def test_a_message_names_commands_as_one_types_them(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flumen.cli.output.errors", Console(stderr=True, width=4000))
    print_error(StackError("no stack; `flumen up` starts one, `flumen down` ends it"))
    assert f"`{PROGRAM} up` starts one, `{PROGRAM} down` ends it" in capsys.readouterr().err
    done = CliRunner().invoke(app, ["status"])
    assert (done.exit_code, f"`{PROGRAM} up` starts one" in done.output) == (3, True)


def test_commands_in_messages_are_shown_through_what_knows_how_they_are_typed() -> None:
    """A text of a command's own that names another one has to pass `as_called`, or be an error's."""
    for module in (ROOT / "cli").rglob("*.py"):
        for call in ast.walk(ast.parse(module.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith((".print", "BadParameter")):
                for argument in call.args:
                    told = ast.unparse(argument)
                    assert "`flumen " not in told or told.startswith("as_called("), f"{module.name}: {told}"


def test_a_home_that_the_environment_names_is_named(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUMEN_HOME", "/tmp/a home")
    settings, _, arguments = parsed(as_typed("search", "a:b c", settings={"solr_core": "photos"}))
    assert settings == {"FLUMEN_HOME": "/tmp/a home", "FLUMEN_SOLR_CORE": "photos"}
    assert arguments == ["search", "a:b c"]


def test_photos_share_no_table_no_core_and_no_topic_with_the_digits(tmp_path: Path) -> None:
    digits = Settings(home=tmp_path)
    photos = photo_settings(digits)
    for name in ("images_topic", "dead_topic", "resolutions_topic", "parked_topic", "group_id", "solr_core"):
        assert getattr(photos, name) != getattr(digits, name), name
        Settings.model_validate({name: getattr(photos, name)})
    assert photos.kudu_table_prefix not in ("", digits.kudu_table_prefix)
