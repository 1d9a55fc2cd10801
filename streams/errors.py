"""The errors of the live path.

StreamError
├── BadSetting          a setting that is out of bounds or of the wrong kind
├── KafkaUnavailable    no broker answers at the configured address; retriable
├── KafkaRefused        a broker answers, and does not let this client in or do what it asks
├── DeadLettersUnavailable  the dead-letter topic takes nothing; retriable
├── ClientFailed        Kafka's client has failed for good
│   └── WorkerIdTaken       another worker of the group has this one's name
├── PublishFailed       the broker did not acknowledge a message
├── TopicMissing        a topic that must exist does not, and may not be created
├── TopicTooSmall       a topic does not take messages as large as those that it must take
├── NoSuchDeadLetter    there is no dead letter at the place that was named
├── NotSaved            an image's bytes cannot be written to a file
├── SourceUnreadable    a folder, file or archive to publish cannot be read
├── NotRemembered       a watched folder's record of what was published cannot be written
├── StateChanged        somebody else changed what the workers shall run
├── RolloutFailed       the workers did not all do what they were told; the subclass is the reason
│   ├── WorkerRefused       a worker refused it
│   ├── WorkerTooNew        a worker says what this version of flumen cannot read
│   ├── WorkerSilent        a worker has not been heard of for too long
│   ├── RolloutTimedOut     it took a worker too long
│   └── RolloutInterrupted  whoever gave the command stopped it
├── ScoresWorse         a version that scored less than the champion, and nobody has said that it shall be so
├── ImpactInsufficient  what a version would change is not known, or not good enough, and that is required
├── NothingBefore       there is no champion to go back to
├── NoModel             there is no verified model to classify with
├── BadKey              a key that signs or checks control records cannot be used
├── ControlRefused      a control record that changes nothing; the subclass is the reason
│   ├── RecordMalformed     not JSON, or not as docs/swapping.md says
│   ├── RecordForged        unsigned, or signed by nobody who may
│   ├── RecordStale         its revision is not above the one that counts
│   ├── RecordConflict      the audit log has another state of that revision
│   ├── RecordUnrecorded    the audit log does not have it
│   ├── RecordOutOfLine     its revision is not the next one
│   ├── RecordMisplaced     it is about another model than its key
│   └── RecordTooNew        its schema is newer than this version of flumen reads
└── Stalled             the worker got nothing done for too long, and no server explains it

Caught within the package, and never seen outside it:

Exception
├── Malformed           a message's envelope that cannot be understood; becomes a dead letter
├── ShutOut             somebody else has taken the exclusive right to write control records
└── InDoubt             the broker has not said what became of a transaction
"""

from typing import ClassVar

from flumen.interceptor.open_files import exhausted


class StreamError(Exception):
    """Base of all errors of this package. `retriable`: the same call may succeed later, unchanged."""

    retriable: ClassVar[bool] = False


class BadSetting(StreamError):
    """A setting is out of bounds or of the wrong kind; the message names it, its value and what is allowed."""


class KafkaUnavailable(StreamError):
    """No broker answers at the configured address."""

    retriable: ClassVar[bool] = True

    @classmethod
    def at(cls, servers: object, reason: str) -> "KafkaUnavailable":
        """Name the address that did not answer, and what to do."""
        if files := exhausted(reason):
            return cls(f"Kafka at {servers} cannot be asked: {files}")
        return cls(
            f"no Kafka broker answers at {servers} ({reason}). "
            "Start one with `flumen up`, or set FLUMEN_KAFKA_SERVERS"
        )


class KafkaRefused(StreamError):
    """A broker answers, and does not let this client in, or do what it asks: a retry changes nothing."""


class DeadLettersUnavailable(StreamError):
    """The dead-letter topic takes nothing: its broker is down, or there is no such topic."""

    retriable: ClassVar[bool] = True


class ClientFailed(StreamError):
    """Kafka's client has failed for good: it neither takes nor gives anything any more, whatever is waited for."""


class WorkerIdTaken(ClientFailed):
    """Another worker of the group has this one's name: `FLUMEN_WORKER_ID` is used twice."""


class PublishFailed(StreamError):
    """The broker did not acknowledge a message."""


class TopicMissing(StreamError):
    """A topic that must exist does not, and may not be created."""


class TopicTooSmall(StreamError):
    """A topic does not take messages as large as those that it must take."""


class SourceUnreadable(StreamError):
    """A folder, file or archive to publish cannot be read."""


class NoSuchDeadLetter(StreamError):
    """There is no dead letter at the place that was named."""


class NotSaved(StreamError):
    """An image's bytes cannot be written to a file."""


class NotRemembered(StreamError):
    """A watched folder's record of what was published cannot be written: it would be published over and over."""


class StateChanged(StreamError):
    """Somebody else changed what the workers shall run, since it was looked at."""


class RolloutFailed(StreamError):
    """The workers did not all do what they were told."""


class WorkerRefused(RolloutFailed):
    """A worker refused it, and said why."""


class WorkerTooNew(RolloutFailed):
    """A worker says what this version of flumen cannot read: the command has to be upgraded."""


class WorkerSilent(RolloutFailed):
    """A worker has not been heard of for too long, and did not say that it stops."""


class RolloutTimedOut(RolloutFailed):
    """It took a worker too long."""


class RolloutInterrupted(RolloutFailed):
    """Whoever gave the command stopped it, by Ctrl-C or a signal; the message says what was left."""


class ScoresWorse(StreamError):
    """A version has scored less than the champion on the same images, and nobody has said that it shall be so."""


class ImpactInsufficient(StreamError):
    """What a version would change is not known, or is not good enough, and the settings or the command require it."""


class NothingBefore(StreamError):
    """The audit log knows no champion before the present one."""


class NoModel(StreamError):
    """There is no verified model to classify with."""


class BadKey(StreamError):
    """A key that signs or checks control records cannot be read, or is none."""


class ControlRefused(StreamError):
    """A control record that changes nothing."""


class RecordMalformed(ControlRefused):
    """The record is not JSON, is too large, or is not as docs/swapping.md says."""


class RecordForged(ControlRefused):
    """The record is not signed, or not by a key that may."""


class RecordStale(ControlRefused):
    """The record's revision is not above the one that counts already."""


class RecordConflict(ControlRefused):
    """The audit log has another state of the record's revision: this one was given up, or is nobody's."""


class RecordUnrecorded(ControlRefused):
    """The audit log does not have the record: it was never committed there."""


class RecordOutOfLine(ControlRefused):
    """The revision of an entry of the audit log is not the next one."""


class RecordMisplaced(ControlRefused):
    """The record is about another model than its key."""


class RecordTooNew(ControlRefused):
    """The record's schema is newer than this version of flumen reads: it has to be upgraded."""


class Stalled(StreamError):
    """The worker got nothing done for too long, and no server that is down explains it."""
