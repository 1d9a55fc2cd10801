"""Folders that cannot be written: which one it is, and what is to be set, said by every command that needs it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flumen.cli.main import app
from flumen.models.repository import Repository
from flumen.models.shipped import seed
from flumen.stack import local
from flumen.stack.errors import MachineUnfit, StackError
from flumen.stack.process import spawn
from flumen.stores.artifacts import FolderUnusable
from flumen.stores.artifacts.filelock import exclusive
from flumen.stores.artifacts.folders import is_writable
from flumen.stores.kudu.jars import client_jars

NOWHERE = Path("/proc/flumen")
"""Where nobody can make a folder, whoever he is."""


@pytest.fixture
def a_file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("")
    return tmp_path / "file"


@pytest.fixture(params=["nowhere", "a file", "below a file"])
def unwritable(request: pytest.FixtureRequest, a_file: Path) -> Path:
    return {"nowhere": NOWHERE, "a file": a_file, "below a file": a_file / "home"}[request.param]


def test_what_can_be_written_is_tried(unwritable: Path, tmp_path: Path) -> None:
    assert not is_writable(unwritable)
    assert is_writable(tmp_path)
    assert is_writable(tmp_path / "made" / "later")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "write",
    [
        lambda home: local.up(home, Path(), lambda *_: None),
        lambda home: spawn(["/bin/true"], {}, home / "logs" / "worker.log"),
        lambda home: exclusive(home / "stack.lock").__enter__(),
    ],
    ids=["up", "spawn", "lock"],
)
def test_a_home_that_cannot_be_written_is_named_with_its_setting(
    write: Callable[[Path], object], unwritable: Path
) -> None:
    with pytest.raises(
        FolderUnusable, match="Set FLUMEN_HOME to a folder that this user may write"
    ) as caught:
        write(unwritable)
    assert str(unwritable) in str(caught.value)


def test_a_cache_that_cannot_be_written_is_named_with_its_setting(
    unwritable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUMEN_CACHE", str(unwritable))
    with pytest.raises(FolderUnusable, match="Set FLUMEN_CACHE to a folder") as caught:
        client_jars()
    assert str(unwritable) in str(caught.value)


def test_models_that_cannot_be_kept_are_told_with_both_settings(unwritable: Path) -> None:
    with pytest.raises(Exception, match=r"set FLUMEN_MODELS_ROOT \(or FLUMEN_HOME"):
        seed(Repository(str(unwritable / "models")))


@pytest.mark.parametrize("command", ["up", "demo", "doctor"])
def test_the_commands_say_it(command: str, unwritable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUMEN_HOME", str(unwritable))
    monkeypatch.setenv("COLUMNS", "400")
    done = CliRunner().invoke(app, [command, "--json"] if command == "doctor" else [command])
    assert done.exit_code == 1
    said = done.output + str(done.exception)
    assert f"{unwritable} is not writable" in said
    assert "set FLUMEN_HOME to a folder that this user may write" in said
    if command != "doctor":
        assert isinstance(done.exception, MachineUnfit)


@pytest.mark.parametrize("command", ["settings", "status", "down"])
def test_commands_that_write_nothing_need_no_home(
    command: str, unwritable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUMEN_HOME", str(unwritable))
    done = CliRunner().invoke(app, [command])
    if command == "down" and unwritable.exists():
        assert isinstance(done.exception, (FolderUnusable, StackError))
    else:
        assert done.exit_code == (3 if command == "status" else 0), done.exception
