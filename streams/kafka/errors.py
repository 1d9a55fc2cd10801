"""What Kafka's client says, in our words: what it refuses in its settings, and which of its errors never pass.

Every client of Kafka is made here.
"""

import logging
from collections.abc import Mapping
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from flumen.streams.errors import BadSetting, ClientFailed, StreamError, WorkerIdTaken

ClientConfig = Mapping[str, Any]
"""librdkafka's properties, and the callbacks of its binding."""

UNREADABLE = (KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION)
"""Of a batch that librdkafka cannot unpack: it asks for it again and again, and never goes on."""

_TWINS = (KafkaError.FENCED_INSTANCE_ID, KafkaError.UNRELEASED_INSTANCE_ID)
_FREED = ". Where the one before was killed, its name is free after its session (45 s as brokers are set): start again"
_PREFIXES = ("Failed to create consumer: ", "Failed to create producer: ", "Failed to create admin client: ")
_WHERE = "Look at kafka_properties in flumen.toml, or FLUMEN_KAFKA_PROPERTIES"


def make_consumer(config: ClientConfig, logger: logging.Logger | None = None) -> Consumer:
    """Make a consumer.

    Raises:
        BadSetting: librdkafka refuses a property; the message names it.
    """
    return cast(Consumer, _make(Consumer, config, logger))


def make_producer(config: ClientConfig, logger: logging.Logger | None = None) -> Producer:
    """Make a producer. Raises as `make_consumer`."""
    return cast(Producer, _make(Producer, config, logger))


def make_admin(config: ClientConfig) -> AdminClient:
    """Make a client that looks at topics and creates them. Raises as `make_consumer`."""
    return cast(AdminClient, _make(AdminClient, config, None))


def is_fatal(error: KafkaError) -> bool:
    """Say whether a client takes and gives nothing any more after this error.

    Where it stands in place of a message, and where a call raised it, only its code tells.
    """
    return bool(error.fatal()) or error.code() == KafkaError._FATAL


def kafka_error(error: KafkaException) -> KafkaError:
    """Return what an exception of the client's is about."""
    return cast(KafkaError, error.args[0])


def failed_for_good(what: str, error: KafkaError) -> StreamError:
    """Return what a fatal error of a client's means. `what` is what cannot go on, as in "reading from 'images'"."""
    text = str(error.str())
    for twin in map(KafkaError, _TWINS):
        if error.code() == twin.code() or str(twin.str()) in text:
            freed = _FREED if twin.code() == KafkaError.UNRELEASED_INSTANCE_ID else ""
            return WorkerIdTaken(
                f"{what} has ended: FLUMEN_WORKER_ID is used twice, and another worker of the group has this one's "
                f"name ({twin.str()}). Give each worker a name of its own, or none{freed}"
            )
    return ClientFailed(
        f"{what} has failed for good: {text}. Start again; if it happens at once, look at kafka_properties and at "
        "Kafka's log"
    )


def translated(what: str, error: Exception) -> Exception:
    """Return what an exception means that ended `what`; one that is not the client's stays as it is."""
    return failed_for_good(what, kafka_error(error)) if isinstance(error, KafkaException) else error


def whole_number(config: ClientConfig, name: str, default: int) -> int:
    """Return a property that librdkafka takes as a whole number, in any of the forms that it takes.

    Raises:
        BadSetting: it is none.
    """
    value = config.get(name, default)
    try:
        return int(value, 0) if isinstance(value, str) else int(value)
    except ValueError as error:
        raise BadSetting(
            f"the property {name!r} of Kafka's client is {value!r}, no whole number. {_WHERE}"
        ) from error


def _make(client: type[Any], config: ClientConfig, logger: logging.Logger | None) -> object:
    _check_texts(config)
    try:
        return client(dict(config), **({"logger": logger} if logger else {}))
    except KafkaException as error:
        raise _refused(str(kafka_error(error).str()), config) from error
    except (TypeError, ValueError) as error:  # of the binding, where a callback is expected
        raise _refused(str(error), config) from error
    except AttributeError as error:
        raise _refused("default.topic.config is a table; name what is in it without it", config) from error


def _check_texts(config: ClientConfig) -> None:
    """Refuse what C has no text for: the binding ends it early, or says nothing that can be understood."""
    for name, value in config.items():
        for text in (name, value):
            if isinstance(text, str) and ("\0" in text or not _is_utf8(text)):
                raise BadSetting(
                    f"the property {name!r} of Kafka's client holds a character that is no text, in its name or its "
                    f"value. {_WHERE}"
                )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(reason: str, config: ClientConfig) -> BadSetting:
    for prefix in _PREFIXES:
        reason = reason.removeprefix(prefix)
    reason = " ".join(reason.split())
    named = sorted((reason.index(name), -len(name), name) for name in config if name and name in reason)
    what = f"the property {named[0][-1]!r}" if named else "its properties"
    return BadSetting(f"Kafka's client refuses {what}: {reason}. {_WHERE}")
