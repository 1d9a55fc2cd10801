"""The one settings object, and the one place it is read.

Order of precedence: arguments, environment names `FLUMEN_*`, `flumen.toml` in the current folder, the addresses of the
stack that `flumen up` started from this folder, the defaults below.
"""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from interceptor import DEFAULT_CHAIN, Limits
from models.limits import DEFAULT_LIMITS, VerifyLimits
from stores.kudu.options import KuduOptions
from stores.solr.options import SolrOptions
from streams.control.keys import Keyring
from streams.errors import BadKey, BadSetting
from streams.local_stack import LocalStack
from streams.wrong_settings import explain

_KAFKA_MOST_BYTES = 1_000_000_000  # the largest message that librdkafka sends or takes

TopicName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]


class Settings(BaseSettings):
    """Every setting, with its default, its unit and its bounds."""

    model_config = SettingsConfigDict(
        env_prefix="FLUMEN_", toml_file="flumen.toml", extra="forbid", frozen=True, env_ignore_empty=True
    )

    home: Path = Field(Path(".flumen"), description="Folder of the local stack's data and of the models.")

    kafka_servers: str = Field(
        "127.0.0.1:9092", min_length=1, description="Brokers, host:port[,host:port...]."
    )
    kafka_properties: dict[str, str] = Field(
        default_factory=dict,
        description="Passed to librdkafka as they are: security.protocol, sasl.*, ssl.* and the like.",
    )
    group_id: str = Field(
        "flumen", min_length=1, max_length=249, description="Consumer group of the workers."
    )
    worker_id: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9._-]{1,249}$",
        description="Name of this worker, its own in the group: restarted soon, it keeps its partitions.",
    )
    images_topic: TopicName = "images"
    dead_topic: TopicName = "images.dead"
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

    models_root: str | None = Field(
        None, description="Folder or fsspec URL of the model repository; `<home>/models` if unset."
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
    control_public_keys: tuple[str, ...] = Field(
        (), description="Ed25519 keys in base64 that may sign control records; without any, all are taken."
    )
    control_private_key_file: Path | None = Field(
        None, description="Where the key lies that signs control records: for operators, not for workers."
    )
    heartbeat_s: float = Field(2, ge=0.1, le=60, description="Seconds between two statuses of a worker.")

    kudu_masters: str = Field(
        "127.0.0.1:7051", min_length=1, description="Masters, host:port[,host:port...]."
    )
    kudu_driver: Literal["auto", "jvm", "native"] = "auto"
    kudu_table_prefix: str = Field(
        "", pattern=r"^[a-zA-Z0-9._:-]*$", description="Put before each table's name."
    )
    kudu_partitions: int = Field(4, ge=2, le=60, description="Hash partitions of a table to be created.")
    kudu_replicas: int = Field(1, ge=1, le=7, description="Replicas of a table to be created; odd.")
    kudu_timeout_s: float = Field(30, gt=0, le=600, description="Seconds for one operation.")

    solr_url: str = Field(
        "http://127.0.0.1:8983/solr", pattern=r"^https?://", description="Without the core."
    )
    solr_core: str = Field("images", pattern=r"^[a-zA-Z0-9._-]+$", description="Core or collection.")
    solr_commit_within_ms: int = Field(1000, ge=1, description="Milliseconds until a document is visible.")
    solr_timeout_s: float = Field(60, gt=0, le=600, description="Seconds for one request.")
    solr_username: str | None = None
    solr_password: str | None = Field(None, repr=False)
    solr_ca_file: Path | None = Field(None, description="Certificate authority to trust for https.")

    http_port: int = Field(0, ge=0, le=65535, description="Port of /metrics and /health; 0 is off.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - a signature of pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Name the sources, strongest first."""
        toml = TomlConfigSettingsSource(settings_cls)
        return init_settings, env_settings, toml, LocalStack(settings_cls)

    @model_validator(mode="after")
    def _has_room_for_a_message(self) -> "Settings":
        least = 2 * self.max_message_bytes
        if self.max_in_flight_bytes < least:
            raise ValueError(
                f"max_in_flight_bytes is {self.max_in_flight_bytes:,}; allowed: at least {least:,}, which is twice "
                f"max_image_bytes and 2 MiB. Raise it, or lower max_image_bytes"
            )
        return self

    @field_validator("control_public_keys")
    @classmethod
    def _are_public_keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        try:
            Keyring(keys)
        except BadKey as error:
            raise ValueError(str(error)) from error
        return keys

    @property
    def model_repository(self) -> str:
        """The model repository's folder or URL."""
        return self.models_root or str(self.home / "models")

    def limits(self) -> Limits:
        """Return what an image may be, and what decoding one may take."""
        same = {entry.name: getattr(self, entry.name) for entry in fields(Limits) if entry.name != "formats"}
        return Limits(formats=self.image_formats, **same)

    def verify_limits(self) -> VerifyLimits:
        """Return what verifying one model may take."""
        return VerifyLimits(self.max_model_load_time_s, self.max_model_load_memory_bytes)

    def consumer_config(self) -> dict[str, str | int | float | bool]:
        """Return librdkafka's settings for reading images: offsets are committed by the ledger alone."""
        return {
            "bootstrap.servers": self.kafka_servers,
            "group.id": self.group_id,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "queued.max.messages.kbytes": 65_536,
            "fetch.message.max.bytes": max(1_048_576, self.max_message_bytes),
            "fetch.max.bytes": max(52_428_800, self.max_message_bytes),
            # The topic may take more than we do: what is too large must arrive to be buried.
            "receive.message.max.bytes": _KAFKA_MOST_BYTES,
            "fetch.wait.max.ms": self.max_batch_time_ms,
            **({"group.instance.id": self.worker_id} if self.worker_id else {}),
            **self.kafka_properties,
        }

    def lone_consumer_config(self) -> dict[str, str | int | float | bool]:
        """Return librdkafka's settings for reading a whole topic, in no group: what is committed, and where it ends."""
        return {
            "bootstrap.servers": self.kafka_servers,
            "group.id": self.group_id,  # librdkafka asks for one; nothing is ever committed under it
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            **self.kafka_properties,
        }

    def producer_config(self) -> dict[str, str | int | float | bool]:
        """Return librdkafka's settings for writing: acknowledged by all replicas, in order, without doubles."""
        return {
            "bootstrap.servers": self.kafka_servers,
            "enable.idempotence": True,
            "message.max.bytes": self.max_letter_bytes,
            **self.kafka_properties,
        }

    def admin_config(self) -> dict[str, str | int | float | bool]:
        """Return librdkafka's settings for looking at and creating topics."""
        return {"bootstrap.servers": self.kafka_servers, "log_level": 0, **self.kafka_properties}

    @property
    def max_message_bytes(self) -> int:
        """The largest message: an image, and 1 MiB for its key and its headers."""
        return self.max_image_bytes + 1_048_576

    @property
    def max_letter_bytes(self) -> int:
        """The largest dead letter: a message, and its reason."""
        return self.max_message_bytes + 1_048_576

    def kudu_options(self, classpath: tuple[Path, ...] = ()) -> KuduOptions:
        """Return how Kudu is reached. `classpath`: the jars of the Java client, for the driver `jvm`."""
        return KuduOptions(
            masters=self.kudu_masters,
            table_prefix=self.kudu_table_prefix,
            driver=self.kudu_driver,
            classpath=classpath,
            partitions=self.kudu_partitions,
            replicas=self.kudu_replicas,
            timeout_s=self.kudu_timeout_s,
        )

    def solr_options(self) -> SolrOptions:
        """Return how Solr is reached."""
        return SolrOptions(
            url=self.solr_url,
            core=self.solr_core,
            commit_within_ms=self.solr_commit_within_ms,
            timeout_s=self.solr_timeout_s,
            username=self.solr_username,
            password=self.solr_password,
            ca_file=self.solr_ca_file,
        )


def load_settings(**overrides: Any) -> Settings:
    """Read the settings. `overrides` (from the command line) win; those that are None are left out.

    Raises:
        BadSetting: a setting is unknown or out of bounds; the message names it, its value and what is allowed.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise BadSetting(
            "\n".join(explain(detail, Settings.model_fields) for detail in error.errors())
        ) from error
    except ValueError as error:  # unreadable flumen.toml or endpoints.json
        raise BadSetting(
            f"the settings cannot be read: {error}. Look at flumen.toml and FLUMEN_* names"
        ) from error
