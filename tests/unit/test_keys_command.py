"""`flumen keys new`, as a user calls it, and what operators' commands look for before they write anything."""

import json
import os
import resource
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flumen.cli.main import app
from flumen.streams.control.keys import Keyring, key_id, new_key_pair
from flumen.streams.control.operator.writer import make_signer
from flumen.streams.errors import BadKey
from flumen.streams.settings import load_settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_private_key_is_its_owners_alone_and_the_public_one_is_printed(folder: Path) -> None:
    before = os.umask(0)
    try:
        result = CliRunner().invoke(
            app, ["keys", "new", "--out", "swap.key", "--json"], catch_exceptions=False
        )
    finally:
        os.umask(before)
    found = json.loads(result.stdout)
    assert stat.S_IMODE((folder / "swap.key").stat().st_mode) == 0o600
    assert found["key_id"] == key_id(found["public_key"])
    assert "PRIVATE" not in result.stdout

    settings = load_settings(
        control_public_keys=(found["public_key"],), control_private_key_file=found["private_key_file"]
    )
    headers = make_signer(settings)("topic", b"mnist", b"{}")
    Keyring([found["public_key"]]).check("topic", b"mnist", b"{}", tuple(headers))


def test_what_to_set_is_printed(folder: Path) -> None:
    said = CliRunner().invoke(app, ["keys", "new"], catch_exceptions=False).stdout
    assert 'control_public_keys = ["' in said
    assert f'control_private_key_file = "{folder}/flumen.key"' in said
    assert f"FLUMEN_CONTROL_PRIVATE_KEY_FILE={folder}/flumen.key" in said


def test_a_key_that_is_there_is_not_overwritten(folder: Path) -> None:
    (folder / "flumen.key").write_text("precious")
    assert isinstance(CliRunner().invoke(app, ["keys", "new"]).exception, BadKey)
    assert (folder / "flumen.key").read_text() == "precious"
    nowhere = CliRunner().invoke(app, ["keys", "new", "--out", "/proc/nowhere/flumen.key"])
    assert isinstance(nowhere.exception, BadKey)


def test_a_full_disk_leaves_no_key_in_the_way(folder: Path) -> None:
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, former[1]))
    try:
        full = CliRunner().invoke(app, ["keys", "new"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert isinstance(full.exception, BadKey)
    assert "cannot be written: File too large" in str(full.exception)
    assert CliRunner().invoke(app, ["keys", "new"]).exit_code == 0


def test_a_missing_key_and_one_that_no_worker_takes_are_told_apart(folder: Path) -> None:
    ours, theirs = new_key_pair(), new_key_pair()
    (folder / "ours").write_bytes(ours.private)
    with pytest.raises(BadKey, match="FLUMEN_CONTROL_PRIVATE_KEY_FILE"):
        make_signer(load_settings(control_public_keys=(theirs.public,)))
    with pytest.raises(BadKey, match=key_id(theirs.public)):
        make_signer(load_settings(control_public_keys=(theirs.public,), control_private_key_file="ours"))
    with pytest.raises(BadKey, match="cannot be read"):
        make_signer(load_settings(control_private_key_file="nothing"))


def test_without_keys_nothing_is_signed_and_with_one_it_is_even_if_nobody_asks(folder: Path) -> None:
    assert make_signer(load_settings())("topic", b"mnist", b"{}") == []
    pair = new_key_pair()
    (folder / "key").write_bytes(pair.private)
    headers = make_signer(load_settings(control_private_key_file="key"))("topic", b"mnist", b"{}")
    assert [name for name, _ in headers] == ["flumen.key", "flumen.signature"]


def test_the_folder_of_a_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "swap.key"
    done = CliRunner().invoke(app, ["keys", "new", "--out", str(file)])
    assert done.exit_code == 0, done.output
    assert file.parent.stat().st_mode & 0o077 == 0
