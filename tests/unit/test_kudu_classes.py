"""Compiled classes are kept for the next start, and nobody else's are taken for them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flumen.stores.kudu.classes import _keep, _read

BYTECODE = {"a.B": b"\xca\xfe\xba\xbe", "a.B$C": bytes(range(256))}


def test_what_was_kept_is_read_and_is_its_owners_alone(tmp_path: Path) -> None:
    kept = tmp_path / "classes" / "b.json"
    assert _read(kept) is None
    _keep(kept, BYTECODE)
    _keep(kept, BYTECODE)
    assert _read(kept) == BYTECODE
    assert kept.stat().st_mode & 0o777 == 0o600
    assert list(kept.parent.iterdir()) == [kept]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda kept: kept.write_bytes(kept.read_bytes()[:-1]),
        lambda kept: kept.write_bytes(b""),
        lambda kept: kept.write_bytes(kept.read_bytes().replace(b"a.B", b"a.D")),
        lambda kept: kept.chmod(0o622),
        lambda kept: (kept.unlink(), kept.mkdir()),
    ],
)
def test_what_is_not_whole_or_may_be_anybodys_is_compiled_again(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    kept = tmp_path / "b.json"
    _keep(kept, BYTECODE)
    spoil(kept)
    assert _read(kept) is None


def test_a_cache_that_cannot_be_written_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    _keep(tmp_path / "file" / "b.json", BYTECODE)
    assert _read(tmp_path / "file" / "b.json") is None


def test_what_cannot_be_written_whole_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    _keep(tmp_path / "b.json", BYTECODE)
    assert list(tmp_path.iterdir()) == []
