"""What the headers of a status say beside its record: how far a load is, how Kafka knows the worker, how it does.

They are headers since commands of 0.1.0 refuse a record with a key more than they know. As all of a status they are
not signed.
"""

import re
from dataclasses import dataclass

from flumen.streams.kafka.message import Headers, SentHeaders

GROUP_HEADER = "flumen.group"
STEPS_HEADER = "flumen.steps"
MEMORY_HEADER = "flumen.memory"
END_TO_END_HEADER = "flumen.end_to_end"

Buckets = tuple[tuple[float, int], ...]
"""A histogram as Prometheus has it: its upper bounds in seconds, the last one infinite, and how many are up to each."""

_MAX_GROUP = 249
_MAX_DIGITS = 16
_MAX_BUCKETS = 64
_BUCKET = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,9})?|inf):([0-9]{1,16})", re.ASCII)


@dataclass(frozen=True, slots=True)
class StatusHeaders:
    """What a worker says in the headers of its status; one of 0.1.0 says nothing.

    `group` is the consumer group whose coordinator knows the worker by its name; None where it is known by another.
    `steps` rises with each step of a load, and while that rests. `memory_bytes` is what the worker and its processes
    have, `end_to_end` the seconds from produce to both stores since the worker's start, as its metric of that name.
    """

    group: str | None = None
    steps: int = 0
    memory_bytes: int | None = None
    end_to_end: Buckets = ()

    def sent(self) -> SentHeaders:
        """Return them as Kafka's client takes them."""
        said: SentHeaders = [(STEPS_HEADER, str(self.steps).encode())]
        if self.group is not None:
            said.append((GROUP_HEADER, self.group.encode(errors="backslashreplace")))
        if self.memory_bytes is not None:
            said.append((MEMORY_HEADER, str(self.memory_bytes).encode()))
        if self.end_to_end:
            text = ",".join(f"{bound:g}:{count}" for bound, count in self.end_to_end)
            said.append((END_TO_END_HEADER, text.encode()))
        return said


def read_status_headers(headers: Headers) -> StatusHeaders:
    """Return what these headers say. One that is out of bounds says nothing."""
    said = {name: (value or b"").decode(errors="replace") for name, value in headers}
    group = said.get(GROUP_HEADER, "")
    return StatusHeaders(
        group if 0 < len(group) <= _MAX_GROUP and "\0" not in group else None,
        _number(said.get(STEPS_HEADER, "")) or 0,
        _number(said.get(MEMORY_HEADER, "")),
        _buckets(said.get(END_TO_END_HEADER, "")),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None


def _buckets(text: str) -> Buckets:
    found = [_BUCKET.fullmatch(part) for part in text.split(",", _MAX_BUCKETS)[:_MAX_BUCKETS]]
    buckets = tuple((float(each[1]), int(each[2])) for each in found if each is not None)
    bounds, counts = [bound for bound, _ in buckets], [count for _, count in buckets]
    rise = bounds == sorted(set(bounds)) and counts == sorted(counts) and bounds[-1:] == [float("inf")]
    return buckets if rise and len(buckets) == len(found) else ()
