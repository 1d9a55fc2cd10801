"""What an audit finds: how often, and some of each kind by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

Kind = Literal[
    "missing", "extra", "stale", "different", "refused", "uncorrected", "incomplete", "damaged", "orphan"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""No document; no row; a document of an earlier delivery or answer; of other values; a row that Solr does not take; an
image that was deleted and is there, or has not the label it was given; chunks that are not there; bytes that are not
those of their hash; chunks that no row names."""

EXAMPLES = 10

_DELIVERY = frozenset({"sha256", "ingested_at", "classified_at", "model", "model_version", "kafka_offset"})
"""Columns that tell one delivery, or one answer, from another."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One image that is not in both stores alike. `columns`: those that differ, or what else is to be said of it."""

    kind: Kind
    image_id: str
    columns: Sequence[str] = ()


@dataclass(slots=True)
class Counts:
    """How many findings of a kind there were, how many were mended, and some of them."""

    found: int = 0
    mended: int = 0
    examples: list[Finding] = field(default_factory=list)

    @property
    def left(self) -> int:
        """How many are as they were found."""
        return self.found - self.mended


@dataclass(slots=True)
class Report:
    """What came of an audit. `images`: rows that were looked at. `moving`: images that changed while they were."""

    images: int = 0
    moving: int = 0
    counts: Mapping[Kind, Counts] = field(default_factory=lambda: {kind: Counts() for kind in KINDS})

    @property
    def left(self) -> int:
        """How many differences are left."""
        return sum(counts.left for counts in self.counts.values())

    def add(self, finding: Finding, *, mended: bool = False) -> None:
        """Count a finding."""
        counts = self.counts[finding.kind]
        counts.found += 1
        counts.mended += mended
        if len(counts.examples) < EXAMPLES:
            counts.examples.append(finding)


def of_columns(image_id: str, columns: Sequence[str]) -> Finding:
    """Return the finding of a document that differs in these columns."""
    return Finding("stale" if _DELIVERY & set(columns) else "different", image_id, columns)
