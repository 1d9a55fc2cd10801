"""A Kafka of a test's own that wants passwords, and speaks TLS."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from certificates import Authority

from flumen.stack import kafka
from flumen.stack.launch import Launch
from flumen.stack.layout import Layout, State
from flumen.stack.ports import choose
from flumen.stack.process import stop
from flumen.stack.server import Command
from flumen.stores.artifacts.progress import silent

USER, PASSWORD = "alice", "what-alice-knows"
NOBODY, NOBODYS_PASSWORD = "bob", "what-bob-knows"

_PROPERTIES = """
listeners=PLAINTEXT://{host}:{kafka},CONTROLLER://{host}:{kafka-controller},SASL://{host}:{sasl},TLS://{host}:{tls},NAMED://{host}:{named}
advertised.listeners=PLAINTEXT://{host}:{kafka},SASL://{host}:{sasl},TLS://{host}:{tls},NAMED://{host}:{named}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SASL_SSL,NAMED:SASL_SSL
sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config={jaas}
listener.name.tls.plain.sasl.jaas.config={jaas}
listener.name.named.plain.sasl.jaas.config={jaas}
listener.name.tls.ssl.keystore.type=PEM
listener.name.tls.ssl.keystore.location={certificate}
listener.name.named.ssl.keystore.type=PEM
listener.name.named.ssl.keystore.location={other}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{user}
"""
_JAAS = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required "
    f'user_{USER}="{PASSWORD}" user_{NOBODY}="{NOBODYS_PASSWORD}";'
)


@dataclass(frozen=True)
class SecuredBroker:
    """Where it listens: `open` to all, `sasl` with a password, `tls` with TLS as well.

    `named` is as `tls`, with a certificate for another host. `alice` may everything, `bob` nothing. `authority` is the
    file of who signed the certificates.
    """

    open: str
    sasl: str
    tls: str
    named: str
    authority: Path


@contextmanager
def secured_broker(folder: Path) -> Iterator[SecuredBroker]:
    """Run one."""
    authority = Authority.make()
    ports = choose(("kafka", "kafka-controller", "sasl", "tls", "named"), {}, ())
    values = {
        **ports,
        "host": "127.0.0.1",
        "jaas": _JAAS,
        "certificate": authority.sign("127.0.0.1", folder / "kafka.pem"),
        "other": authority.sign("kafka.example", folder / "other.pem"),
        "user": USER,
    }
    layout = Layout(folder)
    plain = kafka.server(layout, ports)

    def prepare(jars: Sequence[Path]) -> Command:
        command = plain.prepare(jars)
        with Path(command.arguments[-1]).open("a") as properties:
            properties.write(_PROPERTIES.format_map(values))
        return command

    Launch(layout, State(ports), silent).run([replace(plain, prepare=prepare)])
    try:
        yield SecuredBroker(
            *(f"127.0.0.1:{ports[name]}" for name in ("kafka", "sasl", "tls", "named")),
            authority.save(folder / "authority.pem"),
        )
    finally:
        stop(layout.read_state().processes.values(), grace_seconds=0)
