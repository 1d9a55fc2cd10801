"""What the headers of a status say beside its record: how far a load is, and by which group Kafka knows the worker.

They are headers since commands of 0.1.0 refuse a record with a key more than they know. As all of a status they are
not signed.
"""

from dataclasses import dataclass

from flumen.streams.kafka.message import Headers, SentHeaders

GROUP_HEADER = "flumen.group"
STEPS_HEADER = "flumen.steps"

_MAX_GROUP = 249
_MAX_DIGITS = 16


@dataclass(frozen=True, slots=True)
class StatusHeaders:
    """What a worker says in the headers of its status; one of 0.1.0 says nothing.

    `group` is the consumer group whose coordinator knows the worker by its name; None where it is known by another.
    `steps` rises with each step of a load, and while that rests.
    """

    group: str | None = None
    steps: int = 0

    def sent(self) -> SentHeaders:
        """Return them as Kafka's client takes them."""
        said: SentHeaders = [(STEPS_HEADER, str(self.steps).encode())]
        if self.group is not None:
            said.append((GROUP_HEADER, self.group.encode(errors="backslashreplace")))
        return said


def read_status_headers(headers: Headers) -> StatusHeaders:
    """Return what these headers say. One that is out of bounds says nothing."""
    said = {name: (value or b"").decode(errors="replace") for name, value in headers}
    group, steps = said.get(GROUP_HEADER, ""), said.get(STEPS_HEADER, "")
    return StatusHeaders(
        group if 0 < len(group) <= _MAX_GROUP and "\0" not in group else None,
        int(steps) if steps.isascii() and steps.isdigit() and len(steps) <= _MAX_DIGITS else 0,
    )
