"""Who does which part of a job, when several would: claims, leases, and taking over.

A job is cut into parts, one a token of its scan. A claim is the insertion of a row under (job, part, attempt), which
exactly one of several can make; it is over where its process runs no more, or its `beat` has not risen for a lease, by
the clock of whoever watches it. As `flumen.models.experiments.run_store` has it for runs. A part that is done twice
gives the same rows twice, so that nothing has to be undone where two were at it.
"""

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from flumen.models.experiments.claimant import Claimant, this_process
from flumen.models.experiments.leases import Leases
from flumen.replay.scoring import Plan

LEASE_S = 60.0
RENEWALS_A_LEASE = 4
SCHEMA = 1
_JOB = -1
"""The part under which the row of a job itself stands."""
_COLUMNS = ("state", "claimed_by", "beat", "lease_s", "images", "answered", "same", "left_out", "not_shown")

Plain = str | int | float | bytes | None
Reasons = tuple[tuple[str, int], ...]
"""How many there are of each reason."""


class PartTable(Protocol):
    """Where jobs and parts stand; `flumen.stores.kudu.KuduReclassifications` says what each method does."""

    def insert(self, row: Mapping[str, Plain]) -> bool:
        """Add a row; return False where one of its key is there."""

    def update(self, row: Mapping[str, Plain]) -> None:
        """Change the columns that are given."""

    def rows(self, job_id: str, columns: Sequence[str], part: int | None = None) -> list[Mapping[str, Plain]]:
        """Return the key and these columns of the rows of an id; of one part, if it is given."""

    def write_answers(self, answers: pa.RecordBatch) -> None:
        """Upsert rows of `predictions`."""

    def remove_answers(self, ids: Sequence[str]) -> None:
        """Delete every row of these images from `predictions`."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job: what it reads, the id of its parts, how many there are, and how many images they have together."""

    name: str
    number: int
    parts_id: str
    parts: int
    snapshot_us: int
    images: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What came of images: answers that were written, images that had one by that model, what was left out and why.

    `not_shown`: answers that became the current ones, and that the index does not show, and why.
    """

    images: int = 0
    answered: int = 0
    same: int = 0
    left_out: Reasons = ()
    not_shown: Reasons = ()

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.images + other.images,
            self.answered + other.answered,
            self.same + other.same,
            _together(self.left_out, other.left_out),
            _together(self.not_shown, other.not_shown),
        )


@dataclass(frozen=True, slots=True)
class Order:
    """What a job is to do, who ordered it, and why. `choice`: which images, in words."""

    model: str
    version: int
    choice: str = ""
    applies: bool = False
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is ours to do."""

    number: int
    attempt: int
    token: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: its parts that are done, and what came of them."""

    done: int
    counts: Counts


class Parts:
    """The parts of one job. It belongs to one thread; `lease_s`: how long a claim lasts that is not renewed."""

    def __init__(
        self,
        table: PartTable,
        job: Job,
        lease_s: float = LEASE_S,
        who: Claimant | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.job = job
        self._table = table
        self._lease_s = lease_s
        self._who = str(who or this_process())
        self._clock = clock
        self._leases = Leases(clock)
        self._beat = 0
        self._renewed = clock()

    def claim(self) -> Part | None:
        """Claim a part; None where each is done or another has it in hand."""
        for number, attempt in self._waiting():
            row = self._key(number, attempt + 1) | {
                "schema": SCHEMA,
                "state": "claimed",
                "claimed_by": self._who,
                "beat": 0,
                "lease_s": self._lease_s,
            }
            if self._table.insert(row):
                self._beat, self._renewed = 0, self._clock()
                tokens = [each["token"] for each in self._table.rows(self.job.parts_id, ["token"], number)]
                (token,) = [each for each in tokens if isinstance(each, bytes)]
                return Part(number, attempt + 1, token)
        return None

    def renew(self, part: Part) -> None:
        """Go on holding a part that is ours, where that is due."""
        if self._clock() - self._renewed >= self._lease_s / RENEWALS_A_LEASE:
            self._beat += 1
            self._renewed = self._clock()
            self._table.update(self._key(part.number, part.attempt) | {"beat": self._beat})

    def is_held(self) -> bool:
        """Whether nobody else may have taken the part in hand: it was renewed within its lease."""
        return self._clock() - self._renewed < self._lease_s

    def finish(self, part: Part, counts: Counts) -> None:
        """Say that a part is done, and what came of it."""
        told: dict[str, Plain] = {
            "state": "done",
            "images": counts.images,
            "answered": counts.answered,
            "same": counts.same,
            "left_out": json.dumps(counts.left_out),
            "not_shown": json.dumps(counts.not_shown),
        }
        self._table.update(self._key(part.number, part.attempt) | told)

    def give_back(self, part: Part) -> None:
        """Let others take at once a part that is ours."""
        self._table.update(self._key(part.number, part.attempt) | {"state": "failed"})

    def progress(self) -> Progress:
        """Return how far the job is. A part that was done twice counts once."""
        done: dict[int, Mapping[str, Plain]] = {}
        for row in sorted(self._rows(), key=_attempt):
            if row["state"] == "done":
                done.setdefault(_part(row), row)
        return Progress(len(done), sum((_counts(row) for row in done.values()), Counts()))

    def _waiting(self) -> list[tuple[int, int]]:
        """Return the parts that nobody does, each with its last attempt."""
        last: dict[int, Mapping[str, Plain]] = {}
        done = set()
        for row in sorted(self._rows(), key=_attempt):
            last[_part(row)] = row
            if row["state"] == "done":
                done.add(_part(row))
        return [
            (number, _attempt(row))
            for number, row in sorted(last.items())
            if number not in done and (row["state"] in ("open", "failed") or self._is_over(row))
        ]

    def _is_over(self, row: Mapping[str, Plain]) -> bool:
        claim, beat = (_part(row), _attempt(row)), int(row["beat"] or 0)
        lease_s = float(row["lease_s"] or self._lease_s)
        return self._leases.is_over(claim, str(row["claimed_by"]), beat, lease_s)

    def _rows(self) -> list[Mapping[str, Plain]]:
        return self._table.rows(self.job.parts_id, _COLUMNS)

    def _key(self, number: int, attempt: int) -> dict[str, Plain]:
        return {"id": self.job.parts_id, "part": number, "attempt": attempt}


def find_job(table: PartTable, name: str) -> Job | None:
    """Return the last job of a name: the one that was made by the same model from the same choice of images."""
    found = table.rows(name, ["parts_id", "parts", "snapshot_us", "images"], _JOB)
    return max((_job(name, row) for row in found), key=lambda job: job.number, default=None)


def make_job(table: PartTable, name: str, plan: Plan, order: Order, last: Job | None = None) -> Job:
    """Keep the parts of a job, and then the job itself; return it, or that of another who was faster.

    `last` is what `find_job` gave when it was decided to make another one.
    """
    number = 0 if last is None else last.number + 1
    parts_id = f"{name}-{uuid.uuid4().hex}"
    for part, token in enumerate(plan.tokens):
        table.insert(
            {"id": parts_id, "part": part, "attempt": 0, "schema": SCHEMA, "state": "open", "token": token}
        )
    made: dict[str, Plain] = {
        "schema": SCHEMA,
        "parts_id": parts_id,
        "parts": len(plan.tokens),
        "snapshot_us": plan.snapshot_us,
        "images": plan.rows,
        "model": order.model,
        "model_version": order.version,
        "choice": order.choice,
        "written_into": "images" if order.applies else "predictions",
        "actor": order.actor,
        "reason": order.reason,
    }
    key: dict[str, Plain] = {"id": name, "part": _JOB, "attempt": number}
    if table.insert(key | made):
        return Job(name, number, parts_id, len(plan.tokens), plan.snapshot_us, plan.rows)
    there = table.rows(name, ["parts_id", "parts", "snapshot_us", "images"], _JOB)
    (faster,) = (row for row in there if _attempt(row) == number)
    return _job(name, faster)


def _job(name: str, row: Mapping[str, Plain]) -> Job:
    numbers = (int(row[column] or 0) for column in ("parts", "snapshot_us", "images"))
    return Job(name, _attempt(row), str(row["parts_id"]), *numbers)


def _counts(row: Mapping[str, Plain]) -> Counts:
    images, answered, same = (int(row[name] or 0) for name in ("images", "answered", "same"))
    return Counts(images, answered, same, _reasons(row["left_out"]), _reasons(row["not_shown"]))


def _reasons(text: Plain) -> Reasons:
    return tuple((str(reason), int(count)) for reason, count in json.loads(str(text or "[]")))


def _together(some: Reasons, more: Reasons) -> Reasons:
    return tuple(sorted((Counter(dict(some)) + Counter(dict(more))).items()))


def _part(row: Mapping[str, Plain]) -> int:
    return int(row["part"] or 0)


def _attempt(row: Mapping[str, Plain]) -> int:
    return int(row["attempt"] or 0)
