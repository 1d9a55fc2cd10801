"""The settings of the sinks: which stores are written to, and the options of those that have no group of their own."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from flumen.streams.secrets import StoreTables

OF_SETTINGS = ("kudu", "solr")
"""The stores whose options are settings of their own."""


def _refuse_of_settings(tables: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    for name in OF_SETTINGS:
        if name in tables:
            raise ValueError(f"{name} has no table here, but settings of its own: {name}_timeout_s and so on")
    return tables


def _refuse_doubles(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("each store is written to once; name each once")
    return names


Sinks = Annotated[tuple[str, ...], AfterValidator(_refuse_doubles)]
Stores = Annotated[StoreTables, AfterValidator(_refuse_of_settings)]


class SinkSettings(BaseModel):
    """Which stores are written to, in which order, and the options of those that have no group of settings."""

    sinks: Sinks = Field(
        ("kudu", "solr"),
        min_length=1,
        description="Stores that every image goes to, in order; the first is the source of truth.",
    )
    stores: Stores = Field(
        default_factory=dict,
        description="Options of the stores that have no settings of their own here, a table each: [stores.files].",
    )
