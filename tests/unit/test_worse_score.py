"""A version that scored less than the champion, on the same images, is not let classify without a word."""

import io
import sys
from dataclasses import replace

import pytest
from model_files import small_model
from rich.console import Console

from flumen.cli.models import worse_score
from flumen.cli.models.worse_score import accept_score
from flumen.models.manifest import Manifest, Scores
from flumen.models.repository import Repository
from flumen.streams.control.records import ModelRef
from flumen.streams.errors import ScoresWorse

DATA, OTHER_DATA = "a" * 64, "b" * 64


def scores(accuracy: float, data: str = DATA) -> Scores:
    return Scores(data, 10_000, accuracy, 0.9, 0.9, 0.9, ((0, 0, 0),) * 3)


class Registered:
    """A repository of one model, whose versions have these scores."""

    def __init__(self, root: str) -> None:
        self.repository = Repository(root)
        self.content, self.manifest = small_model()

    def add(self, found: Scores | None) -> Manifest:
        version = self.repository.register(self.content, replace(self.manifest, scores=found))
        return self.repository.manifest(self.manifest.name, version)

    def accept(self, wanted: Manifest, standing: Manifest | None, yes: bool = False) -> None:
        ref = ModelRef(wanted.version, wanted.sha256)
        accept_score(self.repository, wanted.name, ref, standing, yes)


@pytest.fixture
def registered(tmp_path) -> Registered:
    return Registered(str(tmp_path))


def test_what_scored_less_is_refused_with_both_scores_unless_it_is_wanted(registered: Registered) -> None:
    worse, standing = registered.add(scores(0.9473)), registered.add(scores(0.9792))
    with pytest.raises(ScoresWorse) as refused:
        registered.accept(worse, standing)
    assert str(refused.value) == (
        "shapes@1 has an accuracy of 0.9473, and shapes@2, which classifies now, 0.9792, on the same 10,000 images. "
        "Nothing was written; --yes lets it classify all the same"
    )
    registered.accept(worse, standing, yes=True)
    registered.accept(standing, worse)
    registered.accept(worse, worse)


def test_what_was_scored_on_other_images_or_not_at_all_is_not_compared(registered: Registered) -> None:
    standing, other, none = map(registered.add, (scores(0.9792), scores(0.5, OTHER_DATA), None))
    for wanted, champion in ((other, standing), (none, standing), (standing, none), (other, None)):
        registered.accept(wanted, champion)


@pytest.mark.parametrize(("answer", "is_wanted"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_on_a_terminal_it_is_asked(
    registered: Registered, monkeypatch: pytest.MonkeyPatch, answer: str, is_wanted: bool
) -> None:
    worse, standing = registered.add(scores(0.9473)), registered.add(scores(0.9792))
    keyboard, screen = io.StringIO(answer), io.StringIO()
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", keyboard)
    monkeypatch.setattr(worse_score, "errors", Console(file=screen, width=200, force_terminal=True))
    if is_wanted:
        registered.accept(worse, standing)
    else:
        with pytest.raises(ScoresWorse, match="Nothing was written"):
            registered.accept(worse, standing)
    assert "0.9473" in screen.getvalue()
    assert "0.9792" in screen.getvalue()
