"""The settings of Kafka: its brokers, the group, the topics."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field
from pydantic.config import JsonDict

from flumen.stores.names import check_name
from flumen.streams.kafka.options import split_brokers
from flumen.streams.kafka.properties import refused_properties
from flumen.streams.secrets import ClientProperties, revealed

_NAME = r"^[a-zA-Z0-9._-]{1,249}$"
_NAME_IN_WORDS: JsonDict = {"allowed": "1 to 249 letters, digits, dots, _ and -"}


def _check_brokers(addresses: str) -> str:
    split_brokers(addresses)
    return addresses


def _refuse_own(properties: dict[str, Any]) -> dict[str, Any]:
    if refused := refused_properties(revealed(properties)):
        raise ValueError("; ".join(refused) + ". Leave out, or correct, what is named here")
    return properties


Brokers = Annotated[str, AfterValidator(_check_brokers)]
KafkaProperties = Annotated[ClientProperties, AfterValidator(_refuse_own)]
TopicName = Annotated[str, Field(pattern=_NAME, json_schema_extra=_NAME_IN_WORDS), AfterValidator(check_name)]


class KafkaSettings(BaseModel):
    """Where Kafka is, what a worker is called there, and which topics there are."""

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
        pattern=_NAME,
        json_schema_extra=_NAME_IN_WORDS,
        description="Name of this worker, its own in the group: restarted soon, it keeps its partitions.",
    )
    images_topic: TopicName = Field("images", description="Images arrive in this topic.")
    dead_topic: TopicName = Field("images.dead", description="Images that could not be classified or stored.")
    # The default is the name of 0.1.0: under another one, what was replayed or parked before would be dead again.
    resolutions_topic: TopicName = Field(
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
