"""What a worker is told of the two topics: its status says what `flumen models status` says of the same records."""

from collections.abc import Sequence
from itertools import count

import pytest
from desired_states import state

from flumen.streams.control.records import Command, Desired, DesiredState, Refused, to_json
from flumen.streams.control.worker.reader import ControlReader
from flumen.streams.kafka.memory import MemoryFollower, MemoryTopic
from flumen.streams.settings import Settings

SETTINGS = Settings()


Record = tuple[str, bytes]
"""A topic and a value."""


def control(value: bytes | DesiredState) -> Record:
    return SETTINGS.control_topic, to_json(value) if isinstance(value, DesiredState) else value


def audit(one: DesiredState) -> Record:
    return SETTINGS.audit_topic, to_json(Desired(command=Command.ACTIVATE, state=one, former=None))


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
    coming: list[list[Record]],
    told: list[object],
    left: str | None,
) -> None:
    topics = {name: MemoryTopic(name, 1) for name in (SETTINGS.control_topic, SETTINGS.audit_topic)}
    published = count()

    def publish(records: Sequence[Record]) -> None:
        for topic, value in records:
            topics[topic].publish(0, value, b"mnist", timestamp_ms=next(published))

    def meanwhile() -> None:
        if coming:
            publish(coming.pop(0))
        else:
            reader.end()

    publish([audit(FIRST), control(FIRST)])
    reader = ControlReader(SETTINGS, MemoryFollower(topics.values(), meanwhile))
    assert reader.read_to_end() == (FIRST, None)
    heard: list[object] = []

    def hear(refused: Refused | None) -> None:
        heard.append(refused and refused.reason)

    reader.follow(lambda one: heard.append(one.revision), hear)
    assert heard == told
    refused = reader._gate.refused
    assert (refused and type(refused).__name__) == left
