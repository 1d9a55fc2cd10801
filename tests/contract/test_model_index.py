"""What every index of models promises."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from flumen.models.evaluation.disturbances import DISTURBANCES
from flumen.stores.errors import StoreClosed, StoreRefused, StoreUnavailable
from flumen.stores.memory import MemoryModelIndex, MemoryStore
from flumen.stores.model_index import COLUMNS, ModelEntry, ModelIndex
from flumen.stores.solr import SolrModelIndex, SolrOptions

DIGITS = ModelEntry(
    "digits",
    2,
    {
        "labels": ["one", "two"],
        "classes": 2,
        "accuracy": 0.9792,
        "robust_noise": 0.25,
        "parameters": ["rate=0.01"],
        "images": 10_000,
        "evaluated_at": 1_790_000_000_123_000,
        "log_loss": None,
    },
)


@pytest.fixture(params=["memory", "solr"])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., ModelIndex]]:
    """Return a function that opens the index; with `available=False`, one whose server does not answer."""
    made: list[ModelIndex] = []
    if request.param == "memory":
        store: Any = MemoryStore()
        opener: Callable[[Any], ModelIndex] = MemoryModelIndex
        dead: Any = MemoryStore(available=False)
    else:
        stack, names = request.getfixturevalue("flumen_stack"), request.getfixturevalue("flumen_names")
        store = SolrOptions(url=stack.solr_url, core=names.solr_core)
        opener = SolrModelIndex
        dead = replace(store, url=f"http://127.0.0.1:{request.getfixturevalue('dead_port')}/solr")

    def open_index(available: bool = True) -> ModelIndex:
        made.append(opener(store if available else dead))
        return made[-1]

    yield open_index
    for index in made:
        index.close()


def test_what_was_put_is_got_and_put_again_takes_its_place(make):
    index = make()
    assert index.get("digits", 2) is None
    assert list(index.ids()) == []
    index.put([DIGITS, ModelEntry("photos", 1, {})])
    row = dict(index.get("digits", 2) or {})
    assert row.pop("labels") == ["one", "two"]
    assert row == {
        "id": "digits@2",
        "kind": "model",
        "model": "digits",
        "model_version": 2,
        "classes": 2,
        "accuracy": 0.9792,
        "robust_noise": 0.25,
        "parameters": ["rate=0.01"],
        "images": 10_000,
        "evaluated_at": 1_790_000_000_123_000,
    }
    index.put([ModelEntry("digits", 2, {"accuracy": 0.5})])
    assert dict(make().get("digits", 2) or {}) == {
        "id": "digits@2",
        "kind": "model",
        "model": "digits",
        "model_version": 2,
        "accuracy": 0.5,
    }
    assert list(index.ids()) == ["digits@2", "photos@1"]


def test_nothing_is_put_without_harm(make):
    index = make()
    index.put([])
    assert list(index.ids()) == []


def test_what_does_not_fit_is_refused_by_name(make):
    with pytest.raises(StoreRefused, match=r"bad@1.*outside int32"):
        make().put([ModelEntry("bad", 1, {"classes": 2**31})])


def test_a_server_that_does_not_answer_is_said(make):
    with pytest.raises(StoreUnavailable):
        make(available=False).ids()


def test_a_closed_index_says_so(make):
    index = make()
    index.close()
    index.close()
    with pytest.raises(StoreClosed):
        index.put([DIGITS])
    with pytest.raises(StoreClosed):
        index.get("digits", 2)


def test_every_disturbance_has_its_column():
    names = {column.name for column in COLUMNS if column.name.startswith("robust_")}
    assert names == {f"robust_{name.replace(' ', '_')}" for name in DISTURBANCES}
