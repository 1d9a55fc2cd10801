"""The fleet from an operator's side: what its workers shall run, what they run, and who is still there."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from flumen.models.slot import NO_REVISION
from flumen.streams.control.claims import parse_worker
from flumen.streams.control.control_log import ControlLog
from flumen.streams.control.gate import SETTLED_WITHIN_S
from flumen.streams.control.operator.members import Members
from flumen.streams.control.records import (
    DesiredState,
    Refused,
    WorkerState,
    WorkerStatus,
    now,
    parse_status,
)
from flumen.streams.control.status_headers import StatusHeaders, read_status_headers
from flumen.streams.errors import ControlRefused, PublishFailed, RecordTooNew
from flumen.streams.kafka.group_members import Unknown, group_members
from flumen.streams.kafka.message import Outgoing, RawMessage
from flumen.streams.kafka.producer import command_producer
from flumen.streams.kafka.received import is_readable
from flumen.streams.kafka.topic_reader import Follower, TopicReader
from flumen.streams.settings import Settings

MISSED_HEARTBEATS = 5
"""A worker is silent after so many heartbeats that did not come."""

_MAX_NAMED_GROUPS = 100
"""So many of the groups that workers name are asked about: whoever may write a status may name any."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One worker: what it said last, how many seconds ago, and whether that is too long ago for one that runs.

    `is_too_new`: a later version of flumen said it, and `status` says no more than that.
    """

    status: WorkerStatus
    age_s: float
    is_silent: bool
    is_too_new: bool = False
    headers: StatusHeaders = field(default_factory=StatusHeaders)

    @property
    def group(self) -> str | None:
        """The group whose coordinator knows it by its name; None where it does not say so."""
        return self.headers.group

    @property
    def is_live(self) -> bool:
        """Whether it runs. One that an error has stopped said so with its last word."""
        return not self.is_silent and self.status.state is not WorkerState.STOPPED


@dataclass(frozen=True, slots=True)
class FleetView:
    """The fleet of one model at one moment.

    `desired` is None where nobody has written a state yet. `conflict` says in what the control topic is not as the
    audit log, which is what counts. `too_new` says why the state that counts cannot be read here, and `unknown` which
    of its keys are not: `desired` is what counted before, or is without them.
    """

    model: str
    desired: DesiredState | None
    workers: tuple[Seen, ...]
    conflict: str | None = None
    too_new: str | None = None
    unknown: tuple[str, ...] = ()

    @property
    def live(self) -> tuple[WorkerStatus, ...]:
        """What the workers say that run."""
        return tuple(seen.status for seen in self.workers if seen.is_live)

    @property
    def silent(self) -> tuple[Seen, ...]:
        """The workers that may be dead."""
        return tuple(seen for seen in self.workers if seen.is_silent)

    @property
    def revision(self) -> int:
        """The revision of the desired state; 0 where there is none."""
        return self.desired.revision if self.desired else NO_REVISION


@dataclass(frozen=True, slots=True)
class _Said:
    """What a worker said last, and when by the listener's clock; as in `Seen`."""

    status: WorkerStatus
    at: float
    is_too_new: bool
    headers: StatusHeaders


class Roster:
    """Keeps what each worker said last, and when that was heard.

    Machines disagree about the time. So what a worker says while somebody listens is dated by the listener's clock;
    what was said before is taken to be as old as it says, and the worker has two heartbeats' time to say something new.
    """

    def __init__(
        self,
        heartbeat_s: float,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._heartbeat_s = heartbeat_s
        self._clock = clock
        self._wall_clock = wall_clock
        self._started = clock()
        self._said: dict[str, _Said] = {}

    def hear(self, raw: RawMessage, is_news: bool) -> None:
        """Take a record of the status topic. One that is no status is left out: it is about nobody."""
        if not is_readable(raw):
            return
        worker = (raw.key or b"").decode(errors="replace")
        if raw.value is None:
            self._said.pop(worker, None)
            return
        is_too_new = False
        try:
            try:
                status = parse_status(raw.value)
            except RecordTooNew as error:
                status, is_too_new = _unread(raw.value, error), True
        except ControlRefused:
            return
        if status.worker == worker:
            age_s = 0.0 if is_news else max(0.0, self._wall_clock() - raw.timestamp_ms / 1000)
            headers = read_status_headers(raw.headers)
            self._said[worker] = _Said(status, self._clock() - age_s, is_too_new, headers)

    def workers(self, model: str) -> tuple[Seen, ...]:
        """Return the workers of a model, by name. One that has stopped in order is not among them."""
        has_listened = self._clock() - self._started >= 2 * self._heartbeat_s
        return tuple(
            Seen(
                said.status,
                self._clock() - said.at,
                has_listened and self._is_old(said),
                said.is_too_new,
                said.headers,
            )
            for _, said in sorted(self._said.items())
            if said.status.model == model
        )

    def has_doubts(self) -> bool:
        """Say whether somebody's last word is old, and it was not listened for long enough to call them silent."""
        if self._clock() - self._started >= 2 * self._heartbeat_s:
            return False
        return any(self._is_old(said) for said in self._said.values())

    def models(self) -> Iterable[str]:
        """Return the models that some worker runs."""
        return {said.status.model for said in self._said.values()}

    @property
    def silent_after_s(self) -> float:
        """The seconds after which a worker that says nothing is silent."""
        return MISSED_HEARTBEATS * self._heartbeat_s

    def _is_old(self, said: _Said) -> bool:
        return said.status.state is not WorkerState.STOPPED and self._clock() - said.at > self.silent_after_s


class Fleet:
    """Follows the topics of control, audit and status."""

    def __init__(
        self,
        settings: Settings,
        follower: Follower | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read all three topics to their ends, by `follower` or else from Kafka.

        Raises:
            KafkaUnavailable: no broker answers.
            TopicMissing: one of the topics is not there.
        """
        self._settings = settings
        self._clock = clock
        self._log = ControlLog(settings, clock=clock)
        self._roster = Roster(settings.heartbeat_s, clock)
        self._follower = follower or TopicReader(settings)
        try:
            for raw in self._follower.follow((*self._log.topics, settings.status_topic)):
                self._take(raw, is_news=False)
        except BaseException:
            self._follower.close()
            raise

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._follower.close()

    def view(self, model: str) -> FleetView:
        """Return the fleet of a model as it was last heard of."""
        gate = self._log.gate(model)
        too_new = str(gate.too_new) if gate.too_new else None
        return FleetView(model, gate.state, self._roster.workers(model), gate.conflict, too_new, gate.unknown)

    def models(self) -> list[str]:
        """Return every model that somebody wants or runs, by name."""
        return sorted({*self._log.models(), *self._roster.models()})

    def elsewhere(self, model: str) -> dict[str, list[str]]:
        """Return the workers that run, by name, of every other model than this one."""
        others = (other for other in self._roster.models() if other != model)
        live = {other: [status.worker for status in self.view(other).live] for other in others}
        return {other: workers for other, workers in sorted(live.items()) if workers}

    @property
    def silent_after_s(self) -> float:
        """See `Roster.silent_after_s`."""
        return self._roster.silent_after_s

    def members(self, model: str) -> Members:
        """Ask Kafka who takes images, in the groups that the workers of a model name and in that of the settings."""
        own = self._settings.group_id
        named = Counter(seen.group for seen in self._roster.workers(model) if seen.group)
        del named[own]
        # Those first that most workers name: what somebody makes up crowds them out last.
        asked = [group for group, _ in named.most_common(_MAX_NAMED_GROUPS)]
        not_asked = Unknown(f"it was not asked, as workers name more than {_MAX_NAMED_GROUPS} groups")
        answers = group_members(self._settings.admin_config(), [own, *asked])
        return Members({**dict.fromkeys(named, not_asked), **answers}, own)

    def listen(self, timeout_s: float) -> None:
        """Take what is new; wait for at most so many seconds where nothing is."""
        for raw in self._follower.news(timeout_s):
            self._take(raw, is_news=True)
        self._log.overdue()

    def settle(self) -> None:
        """Listen until it is known who is silent: two heartbeats where somebody's last word is old, else no time.

        Likewise until the control topic and the audit log agree, for a moment: one is read before the other.
        """
        until = self._clock() + SETTLED_WITHIN_S
        while self._roster.has_doubts() or (self._log.disagrees and self._clock() < until):
            self.listen(min(0.5, self._settings.heartbeat_s / 4))
        self._log.overdue(wait_s=0)

    def _take(self, raw: RawMessage, is_news: bool) -> None:
        if raw.topic == self._settings.status_topic:
            self._roster.hear(raw, is_news)
        else:
            self._log.take(raw)  # what it refuses, the statuses of the workers say


def _unread(value: bytes, error: RecordTooNew) -> WorkerStatus:
    """Return what is known of a worker whose status has a newer schema: that it runs."""
    worker, model = parse_worker(value)
    return WorkerStatus(
        worker=worker,
        model=model,
        state=WorkerState.REFUSED,
        champion=None,
        challenger=None,
        prepared=None,
        refused=Refused.because(error),
        heard=NO_REVISION,
        revision=NO_REVISION,
        images_per_s=0.0,
        at=now(),
        started_at=now(),
    )


def forget(settings: Settings, workers: Sequence[str]) -> None:
    """Take dead workers off the status topic. One that lives after all is back with its next heartbeat.

    Raises:
        PublishFailed: the broker did not acknowledge it.
    """
    tombstones = [Outgoing(settings.status_topic, worker.encode(), None, []) for worker in workers]
    answers = command_producer(settings).send(tombstones)
    left = {worker: answer for worker, answer in zip(workers, answers, strict=True) if answer}
    if left:
        raise PublishFailed(
            f"{', '.join(left)}: still in {settings.status_topic!r} ({next(iter(left.values()))}); run this again"
        )
