"""Reading the control topic and the audit log: to their ends before the first image, and then on, in a thread.

The consumer is in no group and commits nothing: every worker reads every record, from the first one. It reads committed
records only; what was given up and is sent again, the gate refuses.
"""

import threading
import time
from collections.abc import Callable

import structlog

from flumen.streams.control.control_log import ControlLog
from flumen.streams.control.gate import SETTLED_WITHIN_S
from flumen.streams.control.records import DesiredState, Refused
from flumen.streams.errors import ControlRefused, RecordConflict, RecordOutOfLine, RecordTooNew
from flumen.streams.kafka.message import RawMessage
from flumen.streams.kafka.topic_reader import Follower
from flumen.streams.settings import Settings

log = structlog.get_logger(__name__)

_POLL_S = 0.5


class ControlReader:
    """Hands on every record that its gate admits, and why the others are refused."""

    def __init__(
        self, settings: Settings, follower: Follower, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._log = ControlLog(settings, settings.model_name, clock)
        self._gate = self._log.gate(settings.model_name)
        self._handed_on: Refused | None = None
        self._leaving = threading.Event()
        self._follower = follower

    def read_to_end(self) -> tuple[DesiredState | None, Refused | None]:
        """Read all there is; only then `follow`.

        Returns:
            The newest state, None if there is none, and why the control topic's newest record is refused, if it is.

        Raises:
            KafkaUnavailable: no broker answers.
            TopicMissing: there is no such topic.
        """
        for raw in self._follower.follow(self._log.topics):
            self._admit(raw)
        until = self._clock() + SETTLED_WITHIN_S
        while self._gate.is_waiting and self._clock() < until:
            for raw in self._follower.news(_POLL_S, _warn):
                self._admit(raw)
        for error in self._log.overdue(wait_s=0):
            _tell(error)
        if self._gate.state is not None and self._gate.has_lost:
            log.warning(
                "the control topic has lost its newest state, which the audit log still has; the next "
                "`flumen models` command that changes something writes it anew",
                model=self._gate.state.model,
                revision=self._gate.state.revision,
            )
        self._handed_on = self._refused()
        return self._gate.state, self._handed_on

    def newest(self) -> tuple[DesiredState | None, Refused | None]:
        """Return what `read_to_end` does, with what has come since; between that and `follow`."""
        for raw in self._follower.news(0, _warn):
            self._admit(raw)
        self._handed_on = self._refused()
        return self._gate.state, self._handed_on

    def follow(
        self, on_state: Callable[[DesiredState], None], on_refusal: Callable[[Refused | None], None]
    ) -> None:
        """Hand on what is written, as it is written, until `end`: the body of a thread.

        `on_state` takes a state, which ends what was refused before it. `on_refusal` takes what is refused then, and
        None once a record that counts has taken its place in the control topic.
        """
        while not self._leaving.is_set():
            for raw in self._follower.news(_POLL_S, _warn):
                match self._admit(raw):
                    case DesiredState() as state:
                        on_state(state)
                        self._handed_on = None
                    case Refused() as reason:
                        on_refusal(reason)
                        self._handed_on = reason
            for error in self._log.overdue():
                self._handed_on = _tell(error)
                on_refusal(self._handed_on)
            # Of the two topics one is read before the other: until they agree, what is refused may be over already.
            if not self._gate.has_lost and self._refused() != self._handed_on:
                self._handed_on = self._refused()
                on_refusal(self._handed_on)

    def end(self) -> None:
        """Let `follow` return."""
        self._leaving.set()

    def close(self) -> None:
        """Release the connection, once `follow` has returned."""
        self._follower.close()

    def _refused(self) -> Refused | None:
        refused = self._gate.refused
        return Refused.because(refused) if refused else None

    def _admit(self, raw: RawMessage) -> DesiredState | Refused | None:
        taken = self._log.take(raw)
        if not isinstance(taken, ControlRefused):
            return taken
        if raw.topic == self._settings.control_topic or isinstance(taken, RecordTooNew):
            return _tell(taken, raw.offset)
        if isinstance(taken, RecordConflict | RecordOutOfLine):
            log.warning("audit entry does not count", reason=str(taken), offset=raw.offset)
        return None  # `flumen models history` shows all that do not count


def _tell(error: ControlRefused, offset: int | None = None) -> Refused:
    refused = Refused.because(error)
    log.warning("control record refused", reason=refused.reason, message=refused.message, offset=offset)
    return refused


def _warn(error: str) -> None:
    # Whatever it is: the model stays as it is, and what is written meanwhile is read later.
    log.warning("the control topic cannot be read now", error=error)
