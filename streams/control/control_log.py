"""The control topic and the audit log as one: what every record of the two has changed, for all who read them.

Whoever reads them, a worker, an operator's view of the fleet or one who writes, hands each record on in the order in
which it came. What counts does not depend on that order: the gates see to it, one a model.
"""

import time
from collections.abc import Callable

from flumen.streams.control.gate import RECORDED_WITHIN_S, Gate
from flumen.streams.control.keys import Keyring
from flumen.streams.control.records import DesiredState
from flumen.streams.errors import ControlRefused
from flumen.streams.kafka.message import RawMessage
from flumen.streams.settings import Settings


class ControlLog:
    """Takes the records of both topics. Of one model alone where it is made for one, else of all that have any."""

    def __init__(
        self, settings: Settings, model: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._model = model
        self._keyring = Keyring(settings.control_public_keys)
        self._clock = clock
        self._gates: dict[str, Gate] = {}

    @property
    def topics(self) -> tuple[str, str]:
        """The topics whose records it takes."""
        return self._settings.control_topic, self._settings.audit_topic

    def take(self, raw: RawMessage) -> DesiredState | ControlRefused | None:
        """Take a record. Its key says which model it is about; where that is another than the one here, it is nothing.

        Returns:
            The state that counts from this record on; why the record changes nothing, where it is refused; None where
            it leaves things as they are.
        """
        model = (raw.key or b"").decode(errors="replace") if self._model is None else self._model
        try:
            return self.gate(model).admit(raw)
        except ControlRefused as error:
            return error

    def overdue(self, wait_s: float = RECORDED_WITHIN_S) -> list[ControlRefused]:
        """Return why control records that waited for their lines do not count; see `Gate.overdue`."""
        return [error for gate in self._gates.values() for error in gate.overdue(wait_s)]

    def gate(self, model: str) -> Gate:
        """Return the gate of a model, which is new where nothing was heard of it."""
        if model not in self._gates:
            self._gates[model] = Gate(self._settings, model, self._keyring, self._clock)
        return self._gates[model]

    def models(self) -> set[str]:
        """Return the models that somebody wants something of."""
        return {model for model, gate in self._gates.items() if gate.state is not None or gate.too_new}

    @property
    def disagrees(self) -> bool:
        """Whether one of the two topics, so far as they were read, lacks what the other has."""
        return any(gate.is_waiting or gate.has_lost for gate in self._gates.values())
