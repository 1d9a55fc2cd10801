"""What a worker says of itself: its status, with a heartbeat, and in the audit log where a model took effect."""

import os
import re
import secrets
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable

import structlog

from flumen.models.slot import Serving
from flumen.streams.control.records import (
    DriftStatus,
    Effective,
    ModelRef,
    WorkerState,
    WorkerStatus,
    first_offsets,
    now,
    to_json,
)
from flumen.streams.control.status_headers import Buckets, StatusHeaders
from flumen.streams.control.worker.preparation import Picture
from flumen.streams.control.worker.resident import Resident
from flumen.streams.errors import ClientFailed
from flumen.streams.kafka.message import Outgoing, RawMessage
from flumen.streams.kafka.producer import Producer, Undelivered
from flumen.streams.settings import Settings

log = structlog.get_logger(__name__)

_MAX_ENTRIES = 1000
"""Audit entries kept while no broker takes them: a swap a second for a quarter of an hour."""

_FLUSH_S = 10.0
_PAUSE_S = 0.01
"""So many changes at once make one status: whoever floods the control topic does not flood this one."""

_NOT_IN_AN_ID = re.compile(r"[^a-zA-Z0-9._-]")


def worker_id(settings: Settings) -> str:
    """Return the name of this worker: the one that is set, else one that no other process has."""
    host = _NOT_IN_AN_ID.sub("-", socket.gethostname())[:100]
    return settings.worker_id or f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


class StatusReporter:
    """Publishes a worker's status at each change and in between, and what took effect; a thread of its own does it.

    A status that no broker takes is forgotten, since another follows. An audit entry is sent again.
    """

    def __init__(
        self, settings: Settings, worker: str, stored: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        """Make one. `stored` counts the images stored so far; `clock` is in seconds."""
        self.worker = worker
        self._settings = settings
        self._stored = stored
        self._clock = clock
        self._picture: Callable[[], Picture] = lambda: Picture(WorkerState.STARTING)
        self._drift: Callable[[], DriftStatus | None] = lambda: None
        self._end_to_end: Callable[[], Buckets] = lambda: ()
        self._resident = Resident(clock)
        self._counted = (clock(), stored(), 0.0)
        self._started_at = now()
        self._group = settings.kafka_options().group_of(worker)
        self._entries: deque[Effective] = deque(maxlen=_MAX_ENTRIES)
        self._last_taken: tuple[int, str, int] | None = None
        self._change = threading.Event()
        self._ending = threading.Event()
        self._producer = Producer(
            {
                **settings.producer_config(),
                # One request at a time keeps the order as well, and cannot fail for good as idempotence can.
                "enable.idempotence": False,
                "max.in.flight": 1,
                "acks": "all",
                "linger.ms": 0,
                "message.timeout.ms": 10_000,
                "log_level": 2,  # that no broker answers, the reader says
            },
            "reporting to the status topic",
        )

    def show(self, picture: Callable[[], Picture]) -> None:
        """Report what this returns from now on."""
        self._picture = picture
        self.wake()

    def show_drift(self, drift: Callable[[], DriftStatus | None]) -> None:
        """Report what this returns as well, from now on."""
        self._drift = drift

    def show_end_to_end(self, end_to_end: Callable[[], Buckets]) -> None:
        """Report what this returns as well, from now on."""
        self._end_to_end = end_to_end

    def wake(self) -> None:
        """Report at once: something has changed."""
        self._change.set()

    def taken(self, serving: Serving, messages: Iterable[RawMessage]) -> None:
        """Note that a batch is taken on a model: the first one on a new one is where it takes effect."""
        model = (serving.classifier.version, serving.sha256)
        # With its revision: one that was replaced, and came back before an image, has taken effect once more.
        if (*model, serving.since) == self._last_taken:
            return
        self._last_taken = (*model, serving.since)
        if not serving.since:
            return  # the start, before anybody has asked for another model
        offsets: dict[int, int] = {}
        for raw in messages:
            offsets.setdefault(raw.partition, raw.offset)
        self._entries.append(
            Effective(
                model=serving.classifier.name,
                worker=self.worker,
                revision=serving.since,
                champion=ModelRef(*model),
                at=now(),
                offsets=first_offsets(offsets),
            )
        )
        self.wake()

    def run(self) -> None:
        """Report until `end`: the body of a thread.

        Raises:
            ClientFailed: nothing can be reported any more.
        """
        while not self._ending.is_set():
            self._change.clear()
            self._send_entries()
            self._send(self._status())
            self._producer.serve()
            if not self._ending.wait(_PAUSE_S):
                self._change.wait(self._settings.heartbeat_s)

    def end(self) -> None:
        """Let `run` return."""
        self._ending.set()
        self._change.set()

    def say_goodbye(self, *, in_order: bool) -> None:
        """Send what is left, and then a tombstone; after an error the last status, which says `stopped`."""
        self._send_entries()
        self._send(None if in_order else self._status(WorkerState.STOPPED))
        try:
            left = self._producer.flush(_FLUSH_S) + len(self._entries)
        except ClientFailed as error:
            log.warning("this worker's last words were not taken", reason=str(error))
        else:
            if left:
                log.warning("not all that this worker had to say of itself was taken", records=left)

    def _status(self, state: WorkerState | None = None) -> bytes:
        picture = self._picture()
        return to_json(
            WorkerStatus(
                worker=self.worker,
                model=self._settings.model_name,
                state=state or picture.state,
                champion=picture.champion,
                challenger=picture.challenger,
                prepared=picture.prepared,
                refused=picture.refused,
                heard=picture.heard,
                revision=picture.revision,
                images_per_s=self._images_per_s(),
                at=now(),
                started_at=self._started_at,
                drift=self._drift(),
            )
        )

    def _images_per_s(self) -> float:
        then, before, rate = self._counted
        at, stored = self._clock(), self._stored()
        if at - then >= self._settings.heartbeat_s / 2:  # over less, one batch would look like a burst
            rate = round((stored - before) / (at - then), 1)
            self._counted = at, stored, rate
        return rate

    def _send(self, value: bytes | None) -> None:
        """Send a status. One that no broker takes is forgotten."""
        headers = self._headers().sent() if value is not None else []
        self._producer.put(Outgoing(self._settings.status_topic, self.worker.encode(), value, headers))

    def _headers(self) -> StatusHeaders:
        steps, memory_bytes = self._picture().steps, self._resident.in_bytes()
        return StatusHeaders(self._group, steps, memory_bytes, self._end_to_end())

    def _send_entries(self) -> None:
        for _ in range(len(self._entries)):  # one that is refused at once is put back
            entry = self._entries.popleft()

            def settle(failure: Undelivered | None, entry: Effective = entry) -> None:
                if failure is not None:
                    self._entries.append(entry)

            record = Outgoing(self._settings.audit_topic, entry.model.encode(), to_json(entry), [])
            if not self._producer.put(record, settle):
                self._entries.appendleft(entry)
                return
