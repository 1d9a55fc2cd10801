"""The one settings object, composed of the groups that each room declares, and the one place it is read.

`flumen.streams.settings.base` says where from.
"""

import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError, model_validator

from flumen.models.settings import ModelSettings
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.kudu.settings import KuduSettings
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.settings import SolrSettings
from flumen.streams.control.settings import ControlSettings
from flumen.streams.errors import BadSetting
from flumen.streams.kafka.options import KafkaConfig, KafkaOptions
from flumen.streams.kafka.settings import KafkaSettings
from flumen.streams.live.settings import DecodingSettings, DriftSettings, ReadingSettings, WebSettings
from flumen.streams.secrets import client_properties
from flumen.streams.settings.base import SourcedSettings
from flumen.streams.settings.console import ConsoleSettings
from flumen.streams.settings.environment import check_names
from flumen.streams.settings.general import GeneralSettings
from flumen.streams.settings.sinks import OF_SETTINGS, SinkSettings
from flumen.streams.settings.together import disagreements
from flumen.streams.settings.wrong import explain_all

GROUPS: Mapping[str, type[BaseModel]] = {
    "general": GeneralSettings,
    "kafka": KafkaSettings,
    "reading": ReadingSettings,
    "decoding": DecodingSettings,
    "models": ModelSettings,
    "control": ControlSettings,
    "drift": DriftSettings,
    "sinks": SinkSettings,
    "kudu": KuduSettings,
    "solr": SolrSettings,
    "web": WebSettings,
    "console": ConsoleSettings,
}
"""The groups by name, in the order in which they are shown. Each declares its settings beside the code they are for."""


# The last base's fields are the first: from below upwards it is the order of GROUPS.
class Settings(
    ConsoleSettings,
    WebSettings,
    SolrSettings,
    KuduSettings,
    SinkSettings,
    DriftSettings,
    ControlSettings,
    ModelSettings,
    DecodingSettings,
    ReadingSettings,
    KafkaSettings,
    GeneralSettings,
    SourcedSettings,
):
    """Every setting, with its default, its unit and its bounds, and what takes settings of several groups."""

    @model_validator(mode="after")
    def _fit_together(self) -> "Settings":
        if wrong := disagreements(dict(self), self.max_message_bytes):
            raise ValueError("\n".join(wrong))
        return self

    @property
    def model_repository(self) -> str:
        """The model repository's folder or URL."""
        return self.secret("models_root") or str(self.home / "models")

    def consumer_config(self) -> KafkaConfig:
        """Return librdkafka's settings for reading images."""
        return self.kafka_options().consumer_config()

    def lone_consumer_config(self) -> KafkaConfig:
        """Return librdkafka's settings for reading a whole topic, in no group."""
        return self.kafka_options().lone_consumer_config()

    def producer_config(self) -> KafkaConfig:
        """Return librdkafka's settings for writing."""
        return self.kafka_options().producer_config()

    def admin_config(self) -> KafkaConfig:
        """Return librdkafka's settings for looking at and creating topics."""
        return self.kafka_options().admin_config()

    def kafka_options(self) -> KafkaOptions:
        """Return how Kafka is reached."""
        return KafkaOptions(
            servers=self.kafka_servers,
            properties=client_properties(self.kafka_properties, "kafka_properties"),
            group_id=self.group_id,
            worker_id=self.worker_id,
            max_batch_time_ms=self.max_batch_time_ms,
            max_message_bytes=self.max_message_bytes,
            max_dead_letter_bytes=self.max_dead_letter_bytes,
        )

    def kudu_options(self) -> KuduOptions:
        """Return how Kudu is reached."""
        return KuduOptions(**self.store_options("kudu"))

    def solr_options(self) -> SolrOptions:
        """Return how Solr is reached."""
        return SolrOptions(**self.store_options("solr"))

    def store_options(self, name: str) -> dict[str, Any]:
        """Return a store's options: its settings, those named `kudu_*` or `solr_*`, or its table in `stores`.

        Raises:
            BadSetting: a file that holds a secret cannot be read.
        """
        if name not in OF_SETTINGS:
            return client_properties(self.stores.get(name, {}), f"stores.{name}")
        return self.options_of(name)


def load_settings(**overrides: Any) -> Settings:
    """Read the settings. `overrides` (from the command line) win; those that are None are left out.

    Raises:
        BadSetting: a setting is unknown or out of bounds; the message names it, its value and what is allowed.
    """
    check_names(os.environ, Settings.model_fields)
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise BadSetting(explain_all(error.errors(), Settings.model_fields)) from error
    except (ValueError, RecursionError) as error:  # unreadable flumen.toml or endpoints.json
        raise BadSetting(
            f"the settings cannot be read: {error}. Look at flumen.toml and FLUMEN_* names"
        ) from error
