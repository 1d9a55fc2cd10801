"""Why no broker answers: what librdkafka says of its connections, as an error that says what to do.

A call that fails says no more than "Broker transport failure". The reason, a wrong password or an authority that is not
trusted, comes by `error_cb` alone, so every client is made with one that remembers it.
"""

import re
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from confluent_kafka import KafkaError, KafkaException

from flumen.streams.errors import KafkaRefused, KafkaUnavailable, StreamError
from flumen.streams.kafka.errors import failed_for_good, is_fatal, kafka_error
from flumen.streams.kafka.options import split_brokers

PROPERTIES = "FLUMEN_KAFKA_PROPERTIES"

_LOOK_S = 3.0
_FIRST_LOOKS_S = (0.5, 1.5)
"""How long to wait for an answer before it is asked whether there will be one: a call cannot be broken off."""

Answer = TypeVar("Answer")
_FORBIDDEN: Mapping[int, str] = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "the consumer group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "the cluster",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "the transactional id",
}
"""What a user may not use, by the code that says so."""

_PASSWORD = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)
_TOLD = (*_PASSWORD, KafkaError._SSL, KafkaError._RESOLVE, KafkaError._TRANSPORT)
"""What explains a failure, what is known best first."""

_FINAL = (*_PASSWORD, KafkaError._SSL)
# "sasl_ssl://127.0.0.1:9093/bootstrap: what happened (after 3ms in state SSL_HANDSHAKE)"
_LINE = re.compile(
    r"(?:\w+://)?(?P<host>\S+):(?P<port>\d+)/(?P<node>\w+): (?P<what>.*?)(?: \(after \d+ms in state (?P<state>\w+).*)?",
    re.DOTALL,
)
_UNTRUSTED = "certificate verify failed"


class Client(Protocol):
    """One of Kafka's clients: its `poll` calls `error_cb`."""

    def poll(self, timeout: float, /) -> Any:
        """Serve what has happened."""


class Connection:
    """Remembers what one client hears of its brokers. `hear` is its `error_cb`; poll it before `failure` is asked."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Begin to listen for a client with this configuration."""
        self._config = config
        self._servers = str(config.get("bootstrap.servers"))
        self._heard: dict[int, str] = {}

    def listening(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration with this as its `error_cb`."""
        return {**config, "error_cb": self.hear}

    def hear(self, error: KafkaError) -> None:
        """Remember what was said last, of each kind."""
        self._heard[error.code()] = error.str()

    def answered(self) -> None:
        """Forget it: a broker answers."""
        self._heard.clear()

    def reason(self) -> str:
        """Say in a few words why no broker answers. It looks at nothing, and so never waits."""
        said = self._said()
        return said[1]["what"] if said else f"no broker answers at {self._servers}"

    def ask(self, client: Client, call: Callable[[float], Answer], timeout_s: float) -> Answer:
        """Return what a call of the client returns, that waits for at most so many seconds: `list_topics` and its like.

        Raises:
            StreamError: no broker answers, as `failure` says; at once where no waiting would mend it.
        """
        for wait_s in _FIRST_LOOKS_S:
            try:
                return call(wait_s)
            except KafkaException as error:
                client.poll(0)  # hands over what was heard
                if self._is_refused(kafka_error(error)):
                    raise self.failure(kafka_error(error)) from error
        try:
            return call(timeout_s)
        except KafkaException as error:
            client.poll(0)
            raise self.failure(kafka_error(error)) from error

    def failure(self, error: KafkaError) -> StreamError:
        """Return the error to raise for a call that failed. It may look at a broker, for a few seconds.

        `KafkaUnavailable` where the same call may succeed later, else `KafkaRefused`.
        """
        if is_fatal(error):
            return failed_for_good(f"asking Kafka at {self._servers}", error)
        if forbidden := refusal(error):
            return forbidden
        if error.code() in _TOLD[:3]:
            self.hear(error)
        said = self._said()
        return self._explain(*said) if said else self._silence(error)

    def _is_refused(self, error: KafkaError) -> bool:
        """Say whether waiting does not mend it."""
        said = self._said()
        return is_fatal(error) or bool(refusal(error)) or (said is not None and said[0] in _FINAL)

    def _explain(self, code: int, line: re.Match[str]) -> StreamError:
        place = f"Kafka at {line['host']}:{line['port']}"
        if code in _PASSWORD:
            return _password_refused(place, line["what"])
        if code == KafkaError._SSL:
            return self._no_trust(place, line)
        if code == KafkaError._RESOLVE:
            return self._no_host(line)
        if _ends_in_handshake(line):
            return KafkaRefused(
                f"{place} speaks no TLS. Set security.protocol in {PROPERTIES} to PLAINTEXT or SASL_PLAINTEXT, or "
                "FLUMEN_KAFKA_SERVERS to the port that speaks TLS"
            )
        return KafkaUnavailable.at(self._servers, line["what"])

    def _said(self) -> tuple[int, re.Match[str]] | None:
        """Return the code and the line that explain it best."""
        for code in _TOLD:
            if line := _LINE.fullmatch(self._heard.get(code, "")):
                return code, line
        return None

    def _silence(self, error: KafkaError) -> StreamError:
        for host, port in self._plain_brokers():
            if _takes(host, port):
                return KafkaUnavailable(
                    f"something listens at {host}:{port}, and ends every connection of Kafka's client. If it wants "
                    f"a password or TLS, set security.protocol (SASL_SSL, SASL_PLAINTEXT or SSL) in {PROPERTIES}; if "
                    "it is no Kafka, correct FLUMEN_KAFKA_SERVERS"
                )
        return KafkaUnavailable.at(self._servers, error.str())

    def _plain_brokers(self) -> Sequence[tuple[str, int]]:
        """Return the brokers, where they are asked without a password and TLS."""
        if self._config.get("security.protocol", "plaintext").lower() != "plaintext":
            return ()
        try:
            return split_brokers(self._servers)
        except ValueError:  # of a client whose settings are none of ours
            return ()

    def _no_host(self, line: re.Match[str]) -> StreamError:
        reason = line["what"].rpartition(": ")[2]
        if line["node"] == "bootstrap":
            return KafkaUnavailable(
                f"there is no host {line['host']!r} ({reason}); correct FLUMEN_KAFKA_SERVERS"
            )
        return KafkaUnavailable(
            f"a broker calls itself {line['host']}:{line['port']} (its advertised.listeners), and there is no such "
            f"host here ({reason}). Correct that at the broker, or make the name known to this machine"
        )

    def _no_trust(self, place: str, line: re.Match[str]) -> StreamError:
        if _UNTRUSTED not in line["what"]:
            return KafkaRefused(f"{place} and TLS: {line['what']}. Look at ssl.* in {PROPERTIES}")
        found = self._look_at_certificate(line["host"].strip("[]"), int(line["port"]))
        authority = f"Set ssl.ca.location in {PROPERTIES} to the file of the authority that signed it, in PEM"
        name = "Correct the host in FLUMEN_KAFKA_SERVERS, or let the broker have a certificate for that name"
        if found is None:
            return KafkaRefused(
                f"the certificate of {place} is not trusted: its authority is unknown here, or it is for another host. "
                f"{authority}. {name}"
            )
        if "ismatch" in found:
            return KafkaRefused(f"the certificate of {place} is for another host: {found}. {name}")
        if "expired" in found:
            return KafkaRefused(f"the certificate of {place} has expired; the broker needs a new one")
        return KafkaRefused(
            f"the certificate of {place} is signed by an authority that is not trusted here: {found}. {authority}"
        )

    def _look_at_certificate(self, host: str, port: int) -> str | None:
        """Return why a certificate is not trusted, which librdkafka does not tell. None if it stays unknown."""
        try:
            context = ssl.create_default_context(
                cafile=self._config.get("ssl.ca.location"), cadata=self._config.get("ssl.ca.pem")
            )
            with socket.create_connection((host, port), _LOOK_S) as connection:
                context.wrap_socket(connection, server_hostname=host).close()
        except ssl.SSLCertVerificationError as error:
            return str(error.verify_message)
        except (OSError, ValueError):
            return None
        return None


def refusal(error: KafkaError) -> KafkaRefused | None:
    """Return the error to raise where a broker says what this user may not, None where it says something else."""
    what = _FORBIDDEN.get(error.code())
    if what is None:
        return None
    return KafkaRefused(
        f"Kafka forbids this user to use {what} ({error.str()}). Give the user of sasl.username ({PROPERTIES}) the "
        "right to it, with kafka-acls.sh, or use another user"
    )


def _password_refused(place: str, what: str) -> KafkaRefused:
    reason = what.removeprefix("SASL authentication error: ")
    if "Unsupported SASL mechanism" in what:
        known = what.rpartition("mechanisms: ")[2]
        return KafkaRefused(
            f"{place} has another SASL mechanism; set sasl.mechanism in {PROPERTIES} to {known}"
        )
    if "current SASL state" in what:
        return KafkaRefused(
            f"{place} takes no passwords. Set security.protocol in {PROPERTIES} to PLAINTEXT or SSL, or "
            "FLUMEN_KAFKA_SERVERS to the port that takes them"
        )
    return KafkaRefused(
        f"{place} refuses the user name or the password ({reason}). Correct sasl.username and sasl.password, or "
        f"sasl.password_file, in {PROPERTIES}"
    )


def _ends_in_handshake(line: re.Match[str]) -> bool:
    """Say whether a broker ended the connection when TLS was begun, as one does that speaks none.

    By chance librdkafka hears of it where it writes ("SSL handshake failed: Disconnected: connecting to a PLAINTEXT
    broker listener?") or where it reads ("Disconnected", "Receive failed: Connection reset by peer").
    """
    return line["state"] == "SSL_HANDSHAKE" and "timed out" not in line["what"]


def _takes(host: str, port: int) -> bool:
    """Say whether something takes a connection."""
    try:
        socket.create_connection((host, port), _LOOK_S).close()
    except OSError:
        return False
    return True
