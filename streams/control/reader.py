"""Reading the control topic: to its end before the first image, and then on, in a thread of its own.

The consumer is in no group and commits nothing: every worker reads every record, from the first one. It reads committed
records only, so it never sees one of two operators that was not to be.
"""

import threading
from collections.abc import Callable

import structlog

from streams.control.follower import Follower
from streams.control.keys import Keyring
from streams.control.records import NO_REVISION, DesiredState, Refused, parse_desired
from streams.control.trail import signed_states
from streams.errors import ControlRefused, RecordMalformed, RecordMisplaced, RecordStale
from streams.settings import Settings
from streams.wire import UNREADABLE_HEADERS, RawMessage

log = structlog.get_logger(__name__)

_POLL_S = 0.5


class Gate:
    """Lets through what may change a worker: records of its model, in order, by somebody who may write them."""

    def __init__(self, topic: str, model: str, keyring: Keyring) -> None:
        self._topic = topic
        self._model = model
        self._keyring = keyring
        self._revision = NO_REVISION

    def admit(self, raw: RawMessage) -> DesiredState | None:
        """Return what a record asks for, or None where it is another model's.

        Raises:
            ControlRefused: the subclass is the reason; the record changes nothing.
        """
        if raw.key != self._model.encode():
            return None
        if raw.headers is UNREADABLE_HEADERS:
            raise RecordMalformed("the name of one of the record's headers is not UTF-8 text")
        # Nothing of what a record says is looked at before it is known who says it.
        self._keyring.check(self._topic, raw.key, raw.value or b"", raw.headers)
        state = parse_desired(raw.value)
        if state.model != self._model:
            raise RecordMisplaced(f"the record's key is {self._model!r}, and it is about {state.model!r}")
        if state.revision <= self._revision:
            raise RecordStale(
                f"the record has revision {state.revision}, and {self._revision} counts already; write one above "
                "it (`flumen models` does). If the topic was made anew, start the workers again"
            )
        self._revision = state.revision
        return state

    def recall(self, remembered: DesiredState | None) -> DesiredState | None:
        """Return what the audit trail remembers, if it is above all that was admitted; it counts from now on."""
        if remembered is None or remembered.revision <= self._revision:
            return None
        self._revision = remembered.revision
        return remembered


class ControlReader:
    """Hands on every record that its gate admits, and why the others are refused."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gate = Gate(settings.control_topic, settings.model_name, Keyring(settings.control_public_keys))
        self._leaving = threading.Event()
        self._follower = Follower(settings, (settings.control_topic,))

    def read_to_end(self) -> tuple[DesiredState | None, Refused | None]:
        """Read all there is; only then `follow`.

        Returns:
            The newest state, None if there is none, and why the last of the records after it is refused, if one is.

        Raises:
            KafkaUnavailable: no broker answers.
            TopicMissing: there is no such topic.
        """
        remembered = signed_states(self._settings).get(self._settings.model_name)
        newest, refused = None, None
        for raw in self._follower.read_to_end():
            match self._admit(raw):
                case DesiredState() as state:
                    newest, refused = state, None
                case Refused() as reason:
                    refused = reason
        if recalled := self._gate.recall(remembered):
            log.warning(
                "the control topic has lost its newest state, which the audit trail still has; the next "
                "`flumen models` command that changes something writes it anew",
                model=recalled.model,
                revision=recalled.revision,
            )
        return recalled or newest, refused

    def follow(self, on_state: Callable[[DesiredState], None], on_refusal: Callable[[Refused], None]) -> None:
        """Hand on what is written, as it is written, until `end`: the body of a thread."""
        while not self._leaving.is_set():
            for raw in self._follower.news(_POLL_S, _warn):
                match self._admit(raw):
                    case DesiredState() as state:
                        on_state(state)
                    case Refused() as reason:
                        on_refusal(reason)

    def end(self) -> None:
        """Let `follow` return."""
        self._leaving.set()

    def close(self) -> None:
        """Release the connection, once `follow` has returned."""
        self._follower.close()

    def _admit(self, raw: RawMessage) -> DesiredState | Refused | None:
        try:
            return self._gate.admit(raw)
        except ControlRefused as error:
            refused = Refused.because(error)
            log.warning(
                "control record refused", reason=refused.reason, message=refused.message, offset=raw.offset
            )
            return refused


def _warn(error: str) -> None:
    # Whatever it is: the model stays as it is, and what is written meanwhile is read later.
    log.warning("the control topic cannot be read now", error=error)
