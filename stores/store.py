"""How a store declares itself: what it is reached by, and what it makes of that.

A package has its declaration in `stores/NAME/__init__` as `STORE`, and registers it under the entry point group
`flumen.stores`, by the store's name. Whatever writes to stores goes by these declarations alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from flumen.interceptor.columns import Column
from flumen.stores.corrections import CorrectionLog
from flumen.stores.errors import UnknownStore
from flumen.stores.migration import Migration
from flumen.stores.sink import AnswerSink, LabelSink, Reader, Sink

ENTRY_POINT_GROUP = "flumen.stores"

Options = TypeVar("Options")


@dataclass(frozen=True, kw_only=True, slots=True)
class Store(Generic[Options]):
    """What a store is. None of the functions connects; what they return does.

    `options` is a dataclass that says where the store is; its fields are the store's settings, and it raises
    `StoreError` for a value out of bounds. A sink and a migration are made for the columns that the interceptors
    declare, in order. `make_answers` is None where a challenger's answers are not kept, `make_migration` where columns
    cannot be added to what is there, `make_corrections` where corrections are not kept, `make_labels` where a stored
    image's label cannot be changed. `server_files` are folders of its package that the store's server has to have.
    """

    name: str
    options: type[Options]
    make_sink: Callable[[Options, Sequence[Column]], Sink]
    make_reader: Callable[[Options], Reader]
    make_answers: Callable[[Options], AnswerSink] | None = None
    make_migration: Callable[[Options, Sequence[Column]], Migration] | None = None
    make_corrections: Callable[[Options], CorrectionLog] | None = None
    make_labels: Callable[[Options], LabelSink] | None = None
    server_files: tuple[Path, ...] = ()


def find_store(name: str) -> Store[Any]:
    """Return the store of that name.

    Raises:
        UnknownStore: no installed package registers it.
    """
    points = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in points:
        raise UnknownStore(
            f"no store is named {name!r}; installed are: {', '.join(sorted(points))}. "
            f"A package registers one under the entry point group {ENTRY_POINT_GROUP!r}"
        )
    store: Store[Any] = points[name].load()
    if store.name != name:
        raise UnknownStore(
            f"the store that is registered as {name!r} calls itself {store.name!r}; its package has to use one name"
        )
    return store
