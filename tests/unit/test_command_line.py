"""The command line as a whole: what it lists, how it fails, and what it writes where names are not UTF-8."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import typer
from typer.testing import CliRunner

from flumen.cli import main, output
from flumen.cli.actor import actor
from flumen.cli.commands import ENTRIES, load
from flumen.cli.failures import elsewhere
from flumen.stores.errors import StoreUnavailable

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


def imported_by(*commands: str) -> tuple[set[str], str]:
    """Run commands in one process of their own; return what it has imported at its end, and what it printed."""
    program = (
        "import sys\n"
        "from flumen.cli.main import run\n"
        f"for command in {commands}:\n"
        "    sys.argv = ['flumen', *command.split()]\n"
        "    try: run()\n"
        "    except SystemExit as ended: assert not ended.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split()), done.stdout


HEAVY = {"duckdb", "faust", "jpype", "onnx", "onnxruntime", "pandas", "pyarrow", "pysolr", "scipy", "sklearn"}
"""What takes long to import, and few commands need."""


def test_help_imports_no_command() -> None:
    imported, said = imported_by("--help")
    packages = {
        f"flumen.{name}" for name in ("streams", "stores", "models", "stack", "interceptor", "replay")
    }
    assert not imported & {*packages, *HEAVY, "numpy", "pydantic"}
    for entry in ENTRIES:
        assert entry.name in said


def test_a_command_imports_nothing_heavy_before_it_does_something() -> None:
    names = ["up", "status", "worker", "produce", "search", "sql", "settings", "keys"]
    imported, said = imported_by(*(f"{name} --help" for name in names))
    assert not imported & HEAVY
    assert said.count("Usage: ") == len(names)


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


def test_times_are_for_people() -> None:
    assert output.iso_time(1_795_847_874_878_064) == "2026-11-28T06:37:54.878"
    assert output.iso_time(-62_135_596_800_000_000) == "0001-01-01T00:00:00.000"
    assert output.iso_time(2**63 - 1) == str(2**63 - 1)


@pytest.mark.parametrize("words", [["demo"], ["down"], ["models", "activate"]], ids=" ".join)
def test_the_help_asks_for_no_value_behind_a_flag(words: list[str]) -> None:
    said = CliRunner().invoke(main.app, [*words, "--help"]).output
    flags = [
        line for line in said.splitlines() if any(flag in line for flag in ("--keep", "--purge", "--force"))
    ]
    assert flags
    assert not any("<bool>" in line for line in flags)


@pytest.mark.parametrize("command", [["search", "x"], ["status"]], ids=" ".join)
def test_a_command_in_the_wrong_folder_is_told_so(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("FLUMEN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "argv", ["flumen", *command])
    with pytest.raises(SystemExit):
        main.run()
    said = " ".join(capsys.readouterr().err.split())
    assert f"there is none in {tmp_path / '.flumen'}" in said
    assert "set FLUMEN_HOME to the .flumen in it" in said


def test_an_address_that_was_set_is_not_looked_for_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUMEN_SOLR_URL", "http://127.0.0.1:1/solr")
    assert elsewhere(StoreUnavailable("no answer")) == ""
    monkeypatch.delenv("FLUMEN_SOLR_URL")
    assert elsewhere(StoreUnavailable("no answer")) != ""
    assert elsewhere(ValueError("else")) == ""


def test_what_is_logged_does_not_get_into_what_is_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def warn() -> None:
        structlog.get_logger("flumen.models.processes.verifier").warning("the verifying helper ended")
        output.print_json([1])

    monkeypatch.setattr("flumen.cli.settings.settings", warn)
    result = CliRunner().invoke(main.app, ["settings"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == [1]
    assert "the verifying helper ended" in result.stderr


@pytest.mark.parametrize(("words", "buffered"), [(("--help",), "1"), (("settings", "--json"), "")])
def test_an_output_that_takes_nothing_is_no_fault_of_flumens(words: tuple[str, ...], buffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "flumen", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": buffered},
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"flumen: OutputLost: the output cannot be written")
    assert b"fault" not in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("buffered", ["1", ""])
def test_a_disk_that_is_full_elsewhere_adds_nothing_to_the_output(buffered: str, tmp_path: Path) -> None:
    command = (
        "import errno, os; from flumen.cli import main, output\n"
        "def command():\n"
        "    output.print_json([1])\n"
        "    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
        "main.app = command; main.run()"
    )
    with (tmp_path / "output").open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-c", command],
            stdout=file,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": buffered, "TMPDIR": str(tmp_path)},
            check=False,
        )
    assert done.returncode == 1
    assert (tmp_path / "output").read_bytes() == b"[\n  1\n]\n"
    assert b"OutputLost" not in done.stderr


def waits() -> Iterator[tuple[str, ...]]:
    """Yield each command with an option that says how many seconds it may wait."""

    def walk(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
        for option in command.params:
            text = getattr(option, "help", "") or ""
            if "econds" in text and "since the epoch" not in text:
                yield *path, option.opts[0]
        for name, sub in getattr(command, "commands", {}).items():
            yield from walk(sub, *path, name)

    for entry in ENTRIES:
        yield from walk(load(entry), entry.name)


WAITS = list(waits())


@pytest.mark.parametrize("words", WAITS, ids=" ".join)
@pytest.mark.parametrize("seconds", ["inf", "nan"])
def test_no_wait_is_without_end(words: tuple[str, ...], seconds: str) -> None:
    result = CliRunner().invoke(main.app, [*words, seconds], env={"COLUMNS": "400"})
    assert result.exit_code == 2
    assert "86400" in result.output.replace(",", "")


def test_the_options_that_say_how_long_are_found() -> None:
    assert {("up", "--timeout"), ("produce", "--settle"), ("models", "activate", "--timeout")} <= {*WAITS}


CLOSED = pytest.mark.parametrize("closed", [(0,), (1,), (0, 1, 2)], ids=str)


def with_closed(closed: tuple[int, ...], program: str, folder: Path) -> "subprocess.CompletedProcess[bytes]":
    script = " ".join(f"{number}>&-" if number else "<&-" for number in closed)
    command = ["sh", "-c", f'exec "$0" {program} {script}', sys.executable]
    return subprocess.run(command, capture_output=True, check=False, cwd=folder)


@CLOSED
def test_what_is_closed_leads_nowhere(closed: tuple[int, ...], tmp_path: Path) -> None:
    done = with_closed(closed, "-m flumen settings --json", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert bool(done.stdout) == (1 not in closed)


@CLOSED
def test_what_is_closed_leads_nowhere_for_a_child_too(closed: tuple[int, ...], tmp_path: Path) -> None:
    """A child without it would write its words into the first file that it opens."""
    (tmp_path / "child.py").write_text("import os; [os.fstat(number) for number in range(3)]")
    (tmp_path / "parent.py").write_text(
        "import subprocess, sys; from flumen.cli.main import _open_what_is_closed\n"
        "_open_what_is_closed(); assert not sys.stdin.isatty() and sys.stdin.read() == ''\n"
        "sys.exit(subprocess.run([sys.executable, 'child.py']).returncode)"
    )
    done = with_closed(closed, "parent.py", tmp_path)
    assert done.returncode == 0, done.stderr


def test_who_has_no_name_and_no_home_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under any number."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    assert actor().startswith("unknown@")
