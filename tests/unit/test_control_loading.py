"""What a worker begins with, where a model of its repository cannot be loaded."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from desired_states import state
from model_files import folding_file, manifest_for, small_model

from flumen.models.errors import TooSlow, VerifierUnavailable
from flumen.models.manifest import to_json
from flumen.models.processes.verifier import Verifier
from flumen.models.repository import CHAMPION, MANIFEST_FILE, MODEL_FILE, Repository
from flumen.streams.control.records import ModelRef
from flumen.streams.control.worker.loading import Loader
from flumen.streams.errors import NoModel
from flumen.streams.live.metrics import Metrics
from flumen.streams.settings import Settings

GOOD, SLOW = 1, 2


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A good version, and one that somebody put beside it, whose session takes for ever to make."""
    repository = Repository(tmp_path)
    repository.register(*small_model())
    content = folding_file(side=4096, products=40)
    folder = tmp_path / "shapes" / str(SLOW)
    folder.mkdir()
    (folder / MODEL_FILE).write_bytes(content)
    (folder / MANIFEST_FILE).write_bytes(to_json(replace(manifest_for(content), version=SLOW)))
    return repository


@pytest.fixture
def loader(repository: Repository) -> Iterator[Loader]:
    settings = Settings(models_root=repository.url, model_name="shapes", max_model_load_time_s=0.5)
    with closing(Loader(settings, Metrics(), Verifier())) as loader:
        yield loader


def test_a_champion_that_takes_too_long_leaves_the_alias_to_begin_with(
    repository: Repository, loader: Loader
) -> None:
    repository.set_alias("shapes", CHAMPION, GOOD)
    slow = ModelRef(SLOW, repository.manifest("shapes", SLOW).sha256)
    first = loader.first(replace(state(5, SLOW), champion=slow))
    assert first.serving.classifier.version == GOOD
    assert isinstance(first.refused, TooSlow)


def test_an_alias_that_takes_too_long_is_no_model(repository: Repository, loader: Loader) -> None:
    repository.set_alias("shapes", CHAMPION, SLOW)
    with pytest.raises(NoModel, match=r"shapes@2 takes more than 0\.5 s of processor time"):
        loader.first(None)


def test_what_verifying_works_counts_as_the_loaders(repository: Repository, loader: Loader) -> None:
    repository.set_alias("shapes", CHAMPION, GOOD)
    before = loader.worked_s()
    loader.first(None)
    assert loader.worked_s() > before + 0.05, "the helper has imported libraries"


def test_a_loader_that_is_closed_loads_nothing_and_that_may_pass(
    repository: Repository, loader: Loader
) -> None:
    good = ModelRef(GOOD, repository.manifest("shapes", GOOD).sha256)
    loader.close()
    with pytest.raises(VerifierUnavailable) as refused:
        loader.load(good)
    assert refused.value.retriable
