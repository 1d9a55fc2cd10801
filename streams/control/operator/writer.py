"""Writing the desired state: by one operator at a time, and together with its line in the audit log.

The exclusive right is Kafka's: a producer with a transactional id shuts out whoever used the same id before. Who has it
reads the newest state and writes the next one; whoever writes between the two has shut him out, and his transaction
fails. So two operators can never both write the same revision. Many at once shut one another out before any has
written: each waits for a time that chance decides, and looks before it tries again.

A broker need not say what became of a transaction. Whoever takes the right next waits until that is decided, and the
audit log, which the transaction writes as well, then says how.
"""

import secrets
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from flumen.models.slot import NO_REVISION
from flumen.streams.control.control_log import ControlLog
from flumen.streams.control.gate import Gate
from flumen.streams.control.keys import key_id, public_key, read_private_key, sign
from flumen.streams.control.operator.audit_log import IDEMPOTENCY_KEY_HEADER, describe_change, written_by
from flumen.streams.control.records import Command, Desired, DesiredState, ModelRef, now, to_json
from flumen.streams.errors import BadKey, KafkaUnavailable, StateChanged
from flumen.streams.kafka.message import Outgoing, SentHeaders
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.kafka.transactions import ExclusiveProducer, InDoubt, ShutOut
from flumen.streams.settings import Settings

_ATTEMPTS = 3
"""So often a write is tried again whose answer said nothing."""

_CONTEND_S = 60.0
"""So long it is tried to get the exclusive right, where others take it as well."""

_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 8.0

Signer = Callable[[str, bytes, bytes], SentHeaders]
"""Returns the headers of a record, from its topic, its key and its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredChange:
    """A desired state without its revision and its time, which it gets when it is written; and the command."""

    command: Command
    model: str
    champion: ModelRef
    challenger: ModelRef | None
    prepare: ModelRef | None
    actor: str
    reason: str


def make_signer(settings: Settings) -> Signer:
    """Return what signs records, or what does not where no key is set.

    Raises:
        BadKey: the workers want signed records, and there is no private key, or it is not one of theirs.
    """
    public_keys = settings.control_public_keys
    if settings.control_private_key_file is None:
        if public_keys:
            raise BadKey(
                "the workers take signed records only (control_public_keys is set), and there is no key to sign with: "
                "set FLUMEN_CONTROL_PRIVATE_KEY_FILE to the file that `flumen keys new` wrote"
            )
        return lambda *_: []
    private = read_private_key(settings.control_private_key_file)
    if public_keys and public_key(private) not in public_keys:
        known = ", ".join(map(key_id, public_keys))
        raise BadKey(
            f"the key in {settings.control_private_key_file} ({key_id(public_key(private))}) is not one that the "
            f"workers take ({known}): use another, or add {public_key(private)} to control_public_keys, theirs as well"
        )
    return lambda topic, key, value: sign(private, topic, key, value)


class StateWriter:
    """The exclusive right to change what the workers of one model shall run. Taken with the first change."""

    def __init__(self, settings: Settings, model: str, signer: Signer) -> None:
        self._settings = settings
        self._model = model
        self._signer = signer
        self._right = ExclusiveProducer(settings.producer_config(), f"flumen-{settings.control_topic}")
        self._newest: DesiredState | None = None
        self._next_revision = NO_REVISION + 1

    def write(
        self, change: DesiredChange, seen: DesiredState | None, at_least: int = NO_REVISION
    ) -> DesiredState:
        """Write a state, if the newest is still the one that was seen; return it with its revision.

        `at_least`: a revision that the first one of an audit log has to be above, where workers know a higher one.

        Raises:
            StateChanged: it is another, and nothing was written; or others take the right again and again.
            RecordTooNew: the newest was written by a later version of flumen, and nothing was written over it.
            KafkaUnavailable: no broker answers. Whether the state was written then shows `flumen models status`.
        """
        idempotency_key = secrets.token_hex(16)
        doubts = turns_lost = 0
        doubt: InDoubt | None = None
        until = time.monotonic() + _CONTEND_S
        while True:
            try:
                self._take(seen)
                if (doubts or turns_lost) and (written := self._written(idempotency_key)):
                    self._right.let_go()  # others may have written since
                    return written
                if doubt is not None and doubts == _ATTEMPTS:
                    raise KafkaUnavailable.at(self._settings.kafka_servers, str(doubt)) from doubt
                return self._write(change, seen, at_least, idempotency_key)
            except InDoubt as error:
                self._right.let_go()
                doubts += 1
                doubt = error
            except ShutOut:
                self._right.let_go()
                turns_lost += 1
                self._wait_for_a_turn(turns_lost, seen, idempotency_key, until)

    def _wait_for_a_turn(
        self, turns_lost: int, seen: DesiredState | None, idempotency_key: str, until: float
    ) -> None:
        """Wait for a while that chance decides and each turn lost doubles; then look whether another turn has a use.

        Who has lost for good need not shut out who is about to write: so of many at once, somebody wins.

        Raises:
            StateChanged: the newest state is another than the one that was seen, and this writer wrote none.
        """
        longest = min(_LONGEST_PAUSE_S, _PAUSE_S * 2**turns_lost)
        time.sleep(secrets.SystemRandom().uniform(0, longest))
        newest = read_newest(self._settings, self._model)
        if newest != seen and not self._written(idempotency_key):
            raise StateChanged(_tell(self._model, newest, seen))
        if time.monotonic() > until:
            raise StateChanged(
                f"others want to change what {self._model} shall run all the time: for {_CONTEND_S:.0f} s this had no "
                "turn. Look at `flumen models status` for what stands, then try again"
            )

    def _written(self, idempotency_key: str) -> DesiredState | None:
        return written_by(idempotency_key, self._settings, self._model)

    def _write(
        self, change: DesiredChange, seen: DesiredState | None, at_least: int, idempotency_key: str
    ) -> DesiredState:
        former = self._newest
        if former != seen:
            raise StateChanged(_tell(self._model, former, seen))
        state = DesiredState(
            model=change.model,
            champion=change.champion,
            challenger=change.challenger,
            prepare=change.prepare,
            revision=self._next_revision if former else max(self._next_revision, at_least + 1),
            actor=change.actor,
            reason=change.reason,
            at=now(),
        )
        self._commit(Desired(command=change.command, state=state, former=former), idempotency_key)
        self._newest, self._next_revision = state, state.revision + 1
        return state

    def _take(self, seen: DesiredState | None) -> None:
        """Take the exclusive right, and only then read the newest state: nobody else can change it from now on.

        It is kept for the next change, unless what this writer read is older than what was seen, or newer.
        """
        if self._newest != seen:
            self._right.let_go()
        if not self._right.is_taken:
            self._right.take()
            gate = read_gate(self._settings, self._model)
            if gate.too_new is not None:
                raise gate.too_new
            self._newest, self._next_revision = gate.state, gate.next_revision

    def _commit(self, entry: Desired, idempotency_key: str) -> None:
        """Write the state and its line in the audit log: both or none."""
        key = self._model.encode()
        records = {
            self._settings.control_topic: to_json(entry.state),
            self._settings.audit_topic: to_json(entry),
        }
        self._right.commit(
            Outgoing(
                topic,
                key,
                value,
                [*self._signer(topic, key, value), (IDEMPOTENCY_KEY_HEADER, idempotency_key.encode())],
            )
            for topic, value in records.items()
        )


def read_newest(settings: Settings, model: str) -> DesiredState | None:
    """Return the newest state of a model that workers with these settings take, None if there is none.

    Raises:
        KafkaUnavailable: no broker answers.
        TopicMissing: there is no control topic.
        RecordTooNew: the newest state was written by a later version of flumen, and cannot be read.
    """
    gate = read_gate(settings, model)
    if gate.too_new is not None:
        raise gate.too_new
    return gate.state


def read_gate(settings: Settings, model: str) -> Gate:
    """Return a gate that has seen all that lies in the control topic and the audit log.

    Raises:
        KafkaUnavailable, TopicMissing: as `read_newest`.
    """
    log = ControlLog(settings, model)
    with closing(TopicReader(settings)) as reader:
        for raw in reader.follow(log.topics):
            log.take(raw)
    return log.gate(model)


def _tell(model: str, newest: DesiredState | None, seen: DesiredState | None) -> str:
    if newest is None:
        return f"the state of {model} is gone from the control topic. Look at `flumen models status`, then try again"
    return (
        f"{newest.actor} changed {model} to revision {newest.revision} at {newest.at}: {describe_change(newest, seen)} "
        f"({newest.reason or 'no reason given'}). That stands, and nothing was written over it. "
        "Look at `flumen models history`, then decide anew"
    )
