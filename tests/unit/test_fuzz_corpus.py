"""The corpus of the fuzz target, replayed without the fuzzer: every seed is decoded, and nothing ever found is back."""

import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "fuzz"
CORPUS = sorted((FUZZ / "corpus").iterdir())


@pytest.fixture(autouse=True)
def _target_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FUZZ))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_a_saved_input(path: Path) -> None:
    from fuzz_target import run_one

    decoded = run_one(path.read_bytes())
    assert decoded or path.name.startswith("found-"), "seeds are valid images"


def test_the_target_refuses_nothing_silently() -> None:
    from fuzz_target import run_one

    assert not run_one(b"no image")
    assert "atheris" not in sys.modules
