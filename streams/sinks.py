"""The stores that the setting `sinks` names, each with the options that the settings have for it."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from flumen.interceptor import Column
from flumen.stores import AnswerSink, LabelSink, Sink, Store, find_store
from flumen.stores.corrections import CorrectionLog, CurrentCorrections
from flumen.stores.migration import Migration
from flumen.streams.errors import BadSetting
from flumen.streams.live.classified import ClassifiedTopic
from flumen.streams.settings import Settings
from flumen.streams.settings.wrong import meant


@dataclass(frozen=True, slots=True)
class ChosenStore:
    """A store that is written to, and where it is."""

    store: Store[Any]
    options: Any


def chosen_stores(settings: Settings) -> tuple[ChosenStore, ...]:
    """Return the stores of `sinks`, in order.

    Raises:
        UnknownStore: no installed package registers one of them.
        BadSetting: an option is unknown, missing, or out of bounds.
        StoreError: likewise, as the store itself says it.
    """
    chosen = []
    for name in settings.sinks:
        store = find_store(name)
        chosen.append(ChosenStore(store, _options(store, settings.store_options(name))))
    return tuple(chosen)


def make_sinks(settings: Settings, stores: Sequence[ChosenStore], columns: Sequence[Column]) -> list[Sink]:
    """Return what every batch is written to, not connected yet: the stores, and the topic of results if it is on."""
    sinks = [chosen.store.make_sink(chosen.options, columns) for chosen in stores]
    if settings.classified_topic:
        sinks.append(ClassifiedTopic(settings.classified_topic, settings.producer_config(), columns))
    return sinks


def make_answers(stores: Sequence[ChosenStore]) -> list[AnswerSink]:
    """Return where a challenger's answers go: to each store that keeps them."""
    return [
        chosen.store.make_answers(chosen.options)
        for chosen in stores
        if chosen.store.make_answers is not None
    ]


def make_correction_log(stores: Sequence[ChosenStore]) -> CorrectionLog | None:
    """Return where corrections stand, in the first store that keeps them; None where there is no such store."""
    for chosen in stores:
        if chosen.store.make_corrections is not None:
            return chosen.store.make_corrections(chosen.options)
    return None


def make_corrections(stores: Sequence[ChosenStore]) -> CurrentCorrections | None:
    """Return what the corrections come to; None where nobody keeps any."""
    log = make_correction_log(stores)
    return None if log is None else CurrentCorrections(log)


def make_labels(stores: Sequence[ChosenStore]) -> list[LabelSink]:
    """Return what changes labels, for each store in which they can be changed."""
    return [
        chosen.store.make_labels(chosen.options) for chosen in stores if chosen.store.make_labels is not None
    ]


def make_migrations(stores: Sequence[ChosenStore], columns: Sequence[Column]) -> list[Migration]:
    """Return what adds columns, for each store that can have some added."""
    return [
        chosen.store.make_migration(chosen.options, columns)
        for chosen in stores
        if chosen.store.make_migration is not None
    ]


def _options(store: Store[Any], given: Mapping[str, Any]) -> Any:
    known = [field.name for field in dataclasses.fields(store.options)]
    for name in given:
        if name not in known:
            raise BadSetting(
                f"the store {store.name!r} has no option {name!r}{meant(name, known)}; correct it in [stores."
                f"{store.name}] of flumen.toml. Its options are: {', '.join(known)}"
            )
    try:
        return TypeAdapter(store.options).validate_python(given)
    except ValidationError as error:
        wrong = error.errors(include_input=False)[0]
        option = ".".join(map(str, wrong["loc"])) or "an option"
        raise BadSetting(
            f"the store {store.name!r} does not take {option} as it is set: {wrong['msg']}. Set it in [stores."
            f"{store.name}] of flumen.toml. Its options are: {', '.join(known)}"
        ) from None
