"""The command line as a whole: what it lists, how it fails, and what it writes where names are not UTF-8."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from flumen.cli import main, output
from flumen.cli.commands import ENTRIES, load

ROOT = Path(__file__).parents[2]


def flumen(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "flumen", *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_list_of_commands_says_what_the_commands_say(entry: Any) -> None:
    command = load(entry)
    assert command.name == entry.name
    assert " ".join((command.help or "").split("\n\n")[0].split()) == entry.help


def test_help_imports_no_command() -> None:
    program = (
        "import sys; sys.argv = ['flumen', '--help']\n"
        "from flumen.cli.main import run\n"
        "try: run()\n"
        "except SystemExit as ended: assert not ended.code\n"
        "heavy = {'streams', 'stores', 'models', 'stack', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    for entry in ENTRIES:
        assert entry.name in done.stdout.decode()


def test_the_version_is_the_package_s() -> None:
    result = CliRunner().invoke(main.app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("flumen 0.")


@pytest.mark.parametrize(
    ("words", "at", "expected"), [("flumen mod", 1, "models"), ("flumen models act", 2, "activate")]
)
def test_a_shell_completes_commands(words: str, at: int, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['flumen']; from flumen.cli.main import run; run()"],
        capture_output=True,
        check=False,
        env={**os.environ, "_FLUMEN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(at)},
    )
    assert done.stdout.decode().split() == [expected]


def test_a_misspelt_command_is_told_the_nearest() -> None:
    result = CliRunner().invoke(main.app, ["modles"])
    assert result.exit_code == 2
    assert "Did you mean 'models'?" in result.output


def test_what_nobody_foresaw_asks_for_a_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise KeyError("a name\x1b[31m of \udcff")

    monkeypatch.setattr(main, "app", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SystemExit, match="1"):
        main.run()
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "KeyError in test_command_line.py, line " in said
    assert "This is a fault of flumen, not of what you did. Please report it with" in said
    assert "\x1b[31m of" not in said
    [kept] = tmp_path.glob("flumen-error-*.txt")
    assert "Traceback" in kept.read_text(encoding="utf-8")


def test_a_command_that_wants_a_folder_survives_an_output_that_is_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / "zürich-北京"
    folder.mkdir()
    name = os.fsencode(folder) + b"/\xff\xfe.png"
    Path(os.fsdecode(name)).write_bytes(b"x")
    for encoding in ("ascii", "latin-1", "utf-8"):
        done = flumen(
            *("produce", str(folder / "gone")), PYTHONIOENCODING=encoding, PYTHONUTF8="0", LC_ALL="C"
        )
        assert done.returncode == 1
        assert b"Traceback" not in done.stderr
        assert b"is neither a folder nor a file" in b" ".join(done.stderr.split())


def test_json_holds_what_json_has_no_form_for() -> None:
    value = [{"sum": 2**100, "name": "a\udcff", "rate": float("nan"), "at": Path("x"), 3: (1, 2**70)}]
    assert json.loads(output.to_json(value)) == [
        {"sum": 2**100, "name": "a\udcff", "rate": None, "at": "x", "3": [1, 2**70]}
    ]
    assert json.loads(output.to_json({"é": float("inf")})) == {"é": None}


def test_json_is_utf8_on_an_output_that_is_not(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    output.print_json({"name": "Zürich"})
    assert json.loads(capfdbinary.readouterr().out.decode("utf-8")) == {"name": "Zürich"}


def test_every_group_has_help_for_each_of_its_commands() -> None:
    for entry in ENTRIES:
        command = load(entry)
        for sub in getattr(command, "commands", {}).values():
            assert sub.help, f"flumen {entry.name} {sub.name} says nothing of itself"
        assert isinstance(command, typer.core.TyperCommand | typer.core.TyperGroup)
