"""Folders of processes: what one that was killed has left is removed, and nothing else."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from flumen.models.experiments.own_folder import own_folder

PREFIX = "flumen-tried-"
HOLD = f"""
import sys, tempfile
from flumen.models.experiments.own_folder import own_folder
tempfile.tempdir = sys.argv[1]
with own_folder({PREFIX!r}) as folder:
    (folder / "kept").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "parent"))
    (tmp_path / "parent").mkdir()
    return tmp_path / "parent"


def test_a_folder_is_there_for_as_long_as_it_is_used(parent: Path) -> None:
    with own_folder(PREFIX) as one, own_folder(PREFIX) as other:
        assert one != other
        assert {one, other} == set(parent.iterdir())
        (one / "deep").mkdir()
    assert list(parent.iterdir()) == []


def test_what_a_killed_process_has_left_is_removed_and_what_a_running_one_has_is_not(parent: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(parent)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    held = Path(process.stdout.readline().strip())
    with own_folder(PREFIX):
        assert (held / "kept").is_file()
    process.kill()
    process.communicate()
    assert (held / "kept").is_file()
    with own_folder(PREFIX) as own:
        assert list(parent.iterdir()) == [own]


def test_links_files_and_folders_of_other_names_stay(parent: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").write_text("x")
    (parent / f"{PREFIX}link").symlink_to(tmp_path / "elsewhere")
    (parent / f"{PREFIX}file").write_text("x")
    (parent / "other").mkdir()
    with own_folder(PREFIX):
        pass
    assert sorted(each.name for each in parent.iterdir()) == [f"{PREFIX}file", f"{PREFIX}link", "other"]
    assert (tmp_path / "elsewhere/file").is_file()
