"""The one settings object, and the one place it is read. `flumen.streams.settings.base` says where from."""

import os
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator

from flumen.interceptor import DEFAULT_CHAIN, Limits
from flumen.models.limits import DEFAULT_LIMITS, VerifyLimits
from flumen.stores.kudu.options import KuduOptions
from flumen.stores.solr.options import SolrOptions
from flumen.streams.errors import BadSetting
from flumen.streams.kafka.options import KafkaConfig, KafkaOptions
from flumen.streams.secrets import SecretUrl, client_properties
from flumen.streams.settings.base import SourcedSettings
from flumen.streams.settings.environment import check_names
from flumen.streams.settings.together import disagreements
from flumen.streams.settings.types import (
    OF_SETTINGS,
    Brokers,
    CoreName,
    FileName,
    KafkaProperties,
    Masters,
    OddCount,
    PublicKeys,
    Sinks,
    SolrUrl,
    Stores,
    TopicName,
)
from flumen.streams.settings.wrong import explain_all
from flumen.streams.wire import Identity


class Settings(SourcedSettings):
    """Every setting, with its default, its unit and its bounds."""

    home: Path = Field(Path(".flumen"), description="Folder of the local stack's data and of the models.")

    kafka_servers: Brokers = Field("127.0.0.1:9092", description="Brokers, host:port[,host:port...].")
    kafka_properties: KafkaProperties = Field(
        default_factory=dict,
        description="Passed to librdkafka as they are: security.protocol, sasl.*, ssl.* and the like. Of each that is "
        "secret the file may be named instead: sasl.password_file.",
    )
    group_id: str = Field(
        "flumen", min_length=1, max_length=249, description="Consumer group of the workers."
    )
    worker_id: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9._-]{1,249}$",
        description="Name of this worker, its own in the group: restarted soon, it keeps its partitions.",
    )
    images_topic: TopicName = Field("images", description="Images arrive in this topic.")
    dead_topic: TopicName = Field("images.dead", description="Images that could not be classified or stored.")
    marks_topic: TopicName = Field(
        "images.dead.marks", description="Which dead letters were replayed or parked: a compacted topic."
    )
    parked_topic: TopicName = Field(
        "images.parked", description="Dead letters that shall not be replayed, kept for ever."
    )
    classified_topic: TopicName | None = Field(
        None, description="Results as JSON go to this topic; off unless set."
    )
    control_topic: TopicName = Field("models.control", description="Which model classifies: compacted.")
    status_topic: TopicName = Field("models.status", description="What each worker runs: compacted.")
    audit_topic: TopicName = Field("models.audit", description="Every change of the model, kept for ever.")
    topic_partitions: int = Field(
        4, ge=1, le=1000, description="Partitions of a topic that has to be created."
    )
    topic_replicas: int = Field(1, ge=1, le=10, description="Replicas of a topic that has to be created.")

    max_batch_size: int = Field(500, ge=1, le=100_000, description="Images a micro-batch.")
    max_batch_time_ms: int = Field(
        50, ge=1, le=60_000, description="Milliseconds to wait for a micro-batch to fill."
    )
    max_in_flight_bytes: int = Field(
        256 * 1024 * 1024, ge=1024 * 1024, description="Bytes of messages taken and not yet acknowledged."
    )
    max_poll_interval_s: float = Field(
        300, ge=10, le=86_400, description="Seconds without a poll after which the group expels a worker."
    )
    stalled_after_s: float = Field(
        120,
        gt=0,
        description="Seconds without progress until /health says so; twice that, and the worker stops. "
        "More than the stores' timeouts.",
    )
    stop_timeout_s: float = Field(
        30, gt=0, le=600, description="Seconds a stopping worker may take to finish what it holds."
    )

    interceptors: tuple[str, ...] = Field(DEFAULT_CHAIN, min_length=1, description="Names, in order.")
    image_id: Identity = Field(
        "event", description="What tells images apart: a CloudEvent's source and id, the key, or the content."
    )
    max_image_bytes: int = Field(
        Limits().max_image_bytes, ge=1, le=900 * 1024 * 1024, description="Bytes of one image."
    )
    max_image_pixels: int = Field(64_000_000, ge=1, description="Width x height of one image, in pixels.")
    image_formats: frozenset[str] = Field(
        Limits().formats, min_length=1, description="Formats to decode, by Pillow's names."
    )
    max_image_frames: int = Field(
        Limits().max_image_frames,
        ge=1,
        description="Frames of an animation, or pages; the first is classified.",
    )
    max_decode_memory_bytes: int = Field(
        Limits().max_decode_memory_bytes,
        ge=32 * 1024 * 1024,
        description="Bytes of memory to decode one image in, in the helper process that decodes all but small ones.",
    )
    max_decode_time_s: float = Field(
        Limits().max_decode_time_s, gt=0, le=600, description="Seconds of processor time, likewise."
    )

    models_root: SecretUrl | None = Field(
        None, description="Folder or fsspec URL of the model repository; `<home>/models` if unset."
    )
    models_root_file: FileName | None = Field(
        None, description="File that holds models_root, where that carries a password."
    )
    model_name: str = Field(
        "mnist", pattern=r"^[a-z0-9][a-z0-9_-]*$", description="The model that classifies."
    )
    max_model_load_time_s: float = Field(
        DEFAULT_LIMITS.time_s, gt=0, le=86_400, description="Seconds of processor time to verify a model in."
    )
    max_model_load_memory_bytes: int = Field(
        DEFAULT_LIMITS.memory_bytes,
        ge=64 * 1024 * 1024,
        description="Bytes of memory to verify a model in, in the helper process that does so, beyond its file.",
    )
    inference_threads: int = Field(1, ge=1, le=256, description="Threads of ONNX Runtime for one batch.")
    shadow_sample: float = Field(
        0.1, ge=0, le=1, description="Share of the images that a challenger is asked about in shadow."
    )
    prepare_share: float = Field(
        0.05, gt=0, le=1, description="Share of one core that a worker spends on loading another model."
    )
    control_public_keys: PublicKeys = Field(
        (), description="Ed25519 keys in base64 that may sign control records; without any, all are taken."
    )
    control_private_key_file: FileName | None = Field(
        None, description="Where the key lies that signs control records: for operators, not for workers."
    )
    heartbeat_s: float = Field(2, ge=0.1, le=60, description="Seconds between two statuses of a worker.")

    sinks: Sinks = Field(
        ("kudu", "solr"),
        min_length=1,
        description="Stores that every image goes to, in order; the first is the source of truth.",
    )
    stores: Stores = Field(
        default_factory=dict,
        description="Options of the stores that have no settings of their own here, a table each: [stores.files].",
    )

    kudu_masters: Masters = Field("127.0.0.1:7051", description="Masters, host:port[,host:port...].")
    kudu_driver: Literal["auto", "jvm", "native"] = Field(
        "auto", description="Kudu's client: Java's, kudu-python, or that where it is installed."
    )
    kudu_table_prefix: str = Field(
        "", pattern=r"^[a-zA-Z0-9._:-]*$", description="Put before each table's name."
    )
    kudu_partitions: int = Field(4, ge=2, le=60, description="Hash partitions of a table to be created.")
    kudu_replicas: OddCount = Field(1, ge=1, le=7, description="Replicas of a table to be created; odd.")
    kudu_timeout_s: float = Field(30, gt=0, le=600, description="Seconds for one operation.")

    solr_url: SolrUrl = Field("http://127.0.0.1:8983/solr", description="Solr's URL, without the core.")
    solr_core: CoreName = Field("images", description="Core or collection.")
    solr_commit_within_ms: int = Field(1000, ge=1, description="Milliseconds until a document is visible.")
    solr_timeout_s: float = Field(60, gt=0, le=600, description="Seconds until a whole answer is there.")
    solr_username: str | None = Field(None, description="User for basic authentication.")
    solr_password: SecretStr | None = Field(None, description="That user's password.")
    solr_password_file: FileName | None = Field(None, description="File that holds solr_password.")
    solr_ca_file: FileName | None = Field(
        None, description="Certificate authorities to trust for https, in PEM; the system's if unset."
    )

    http_port: int = Field(
        0, ge=0, le=65535, description="Port of /metrics, /live, /ready, /health; 0 is off."
    )
    http_host: str = Field(
        "127.0.0.1", min_length=1, description="Address to answer on; :: is all, IPv4 too."
    )
    http_max_connections: int = Field(
        32, ge=1, le=1000, description="At once; one more, and the oldest goes."
    )
    http_timeout_s: float = Field(10, gt=0, le=600, description="Seconds for one connection over HTTP.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important lines that are logged."
    )

    @model_validator(mode="after")
    def _fit_together(self) -> "Settings":
        if wrong := disagreements(dict(self), self.max_message_bytes):
            raise ValueError("\n".join(wrong))
        return self

    @property
    def model_repository(self) -> str:
        """The model repository's folder or URL."""
        return self.secret("models_root") or str(self.home / "models")

    @property
    def names_repository(self) -> bool:
        """Whether somebody chose the model repository."""
        return self.models_root is not None or self.models_root_file is not None

    def limits(self) -> Limits:
        """Return what an image may be, and what decoding one may take."""
        same = {entry.name: getattr(self, entry.name) for entry in fields(Limits) if entry.name != "formats"}
        return Limits(formats=self.image_formats, **same)

    def verify_limits(self) -> VerifyLimits:
        """Return what verifying one model may take."""
        return VerifyLimits(self.max_model_load_time_s, self.max_model_load_memory_bytes)

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

    @property
    def max_message_bytes(self) -> int:
        """The largest message: an image, and 1 MiB for its key and its headers."""
        return self.max_image_bytes + 1_048_576

    @property
    def max_letter_bytes(self) -> int:
        """The largest dead letter: a message, and its reason."""
        return self.max_message_bytes + 1_048_576

    def kafka_options(self) -> KafkaOptions:
        """Return how Kafka is reached."""
        return KafkaOptions(
            servers=self.kafka_servers,
            properties=client_properties(self.kafka_properties, "kafka_properties"),
            group_id=self.group_id,
            worker_id=self.worker_id,
            max_batch_time_ms=self.max_batch_time_ms,
            max_message_bytes=self.max_message_bytes,
            max_letter_bytes=self.max_letter_bytes,
        )

    def kudu_options(self, classpath: tuple[Path, ...] = ()) -> KuduOptions:
        """Return how Kudu is reached. `classpath`: jars of the Java client to take instead of those that are pinned."""
        return KuduOptions(**self.store_options("kudu"), classpath=classpath)

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
