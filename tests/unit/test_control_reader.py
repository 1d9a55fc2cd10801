"""What a worker is told of the two topics: its status says what `flumen models status` says of the same records."""

from collections.abc import Callable, Iterator, Sequence

import pytest
from desired_states import state

from flumen.streams.control.records import Command, Desired, DesiredState, Refused, to_json
from flumen.streams.control.worker.reader import ControlReader
from flumen.streams.kafka.message import RawMessage
from flumen.streams.settings import Settings

SETTINGS = Settings()


def control(value: bytes | DesiredState) -> RawMessage:
    value = to_json(value) if isinstance(value, DesiredState) else value
    return RawMessage(SETTINGS.control_topic, 0, 0, b"mnist", value, (), 0)


def audit(one: DesiredState) -> RawMessage:
    value = to_json(Desired(command=Command.ACTIVATE, state=one, former=None))
    return RawMessage(SETTINGS.audit_topic, 0, 0, b"mnist", value, (), 0)


class Records:
    """In place of a consumer: what lies in the topics, and then what comes at once; one after another."""

    def __init__(self, lying: Sequence[RawMessage], coming: Sequence[Sequence[RawMessage]]) -> None:
        self._lying = lying
        self._coming = list(coming)
        self.ended: Callable[[], None] = lambda: None

    def read_to_end(self) -> Iterator[RawMessage]:
        yield from self._lying

    def news(self, _timeout_s: float, _on_error: object = None) -> Iterator[RawMessage]:
        if not self._coming:
            self.ended()
            return
        yield from self._coming.pop(0)


FORGED = control(b"not JSON")
FIRST, SECOND = state(1, 1), state(2, 2)


@pytest.mark.parametrize(
    ("coming", "told", "left"),
    [
        ([[FORGED], [audit(SECOND), control(SECOND)]], ["RecordMalformed", 2], None),
        # The line of the audit log comes first, and the refused record stood before the one that counts.
        ([[audit(SECOND), FORGED], [control(SECOND)]], [2, "RecordMalformed", None], None),
        # And behind it: that is what the control topic ends with.
        (
            [[control(SECOND), FORGED], [audit(SECOND)]],
            ["RecordMalformed", 2, "RecordMalformed"],
            "RecordMalformed",
        ),
    ],
)
def test_what_a_worker_says_is_refused_is_what_the_gate_says(
    monkeypatch: pytest.MonkeyPatch,
    coming: list[list[RawMessage]],
    told: list[object],
    left: str | None,
) -> None:
    records = Records([audit(FIRST), control(FIRST)], coming)
    monkeypatch.setattr("flumen.streams.control.worker.reader.Follower", lambda *_: records)
    reader = ControlReader(SETTINGS)
    records.ended = reader.end
    assert reader.read_to_end() == (FIRST, None)
    heard: list[object] = []

    def hear(refused: Refused | None) -> None:
        heard.append(refused and refused.reason)

    reader.follow(lambda one: heard.append(one.revision), hear)
    assert heard == told
    refused = reader._gate.refused
    assert (refused and type(refused).__name__) == left
