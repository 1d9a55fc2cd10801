"""What a run of the faults came to: a row a fault, printed as a table, and `docs/faults.md`."""

import os
import platform
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from flumen.stack.artifacts import pinned

LONG = os.environ.get("FLUMEN_FAULTS") == "long"
REPORT = Path(__file__).parents[2] / "docs" / "faults.md"
_COLUMNS = (
    "fault",
    "images",
    "stored",
    "dead letters",
    "lost",
    "doubled",
    "dead letters sent twice",
    "recovery s",
    "result",
)
_PAGE_WIDTH = 100
_PACKAGES = ("flumen-ingest", "faust-streaming", "confluent-kafka", "jpype1", "pysolr")


@dataclass(slots=True)
class Row:
    """One fault: what was done, and what the audit found behind it. Recovery times are seconds, one an injection."""

    name: str
    done: str
    images: int = 0
    stored: int = 0
    dead: int = 0
    lost: int = 0
    doubled: int = 0
    sent_twice: int = 0
    recoveries: list[float] = field(default_factory=list)
    result: str = "not finished"

    def cells(self) -> list[str]:
        numbers = (self.images, self.stored, self.dead, self.lost, self.doubled, self.sent_twice)
        return [self.name, *(f"{number:,}" for number in numbers), self._recovery(), self.result]

    def _recovery(self) -> str:
        if not self.recoveries:
            return "-"
        times = sorted(self.recoveries)
        if len(times) == 1:
            return f"{times[0]:.1f}"
        return f"{times[len(times) // 2]:.1f} (median), {times[-1]:.1f} (longest)"


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, which a terminal shows as well."""
    lines = [list(_COLUMNS), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_COLUMNS))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def _servers() -> list[str]:
    """Return the servers' names and versions, as the stack pins them."""
    wanted = {"kafka_2.13": "Kafka", "kudu-binary": "Kudu", "solr-core": "Solr"}
    coordinates = [artifact.coordinates.split(":") for group in pinned().values() for artifact in group]
    return sorted({f"{wanted[name]} {number}" for _, name, number, *_ in coordinates if name in wanted})


def _point(text: str) -> str:
    """Return a point of a list, wrapped as all pages are."""
    return textwrap.fill(
        f"- {text}", _PAGE_WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def markdown(rows: Sequence[Row]) -> str:
    """Return the report of a long run: what was done to the system, and what came of it."""
    now = datetime.now(UTC)
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    memory = psutil.virtual_memory().total / 1024**3
    done = "\n".join(_point(f"**{row.name}**: {row.done}") for row in rows)
    return f"""# Faults: what was done, and what was lost

Written by `make faults` on {now:%Y-%m-%d %H:%M} UTC. Do not edit: run it again.

{_point(f"{', '.join(_servers())}; Python {platform.python_version()}, {versions}.")}
- {platform.system()} {platform.release()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, one machine for all.

After each fault everything was waited for, then audited: every published id has to be in Kudu and
in Solr exactly once, or in the dead letters exactly once and in neither store.

- *Lost*: in neither.
- *Doubled*: in a store twice, in the stores and in the dead letters, or in the dead letters under
  two origins.
- *Dead letters sent twice*: messages in the dead-letter topic with the topic, partition and offset
  of one that is there already. Delivery is at least once; the origin tells them apart.
- *Recovery*: seconds from the end of the fault until more is acknowledged than before. A worker's
  death ends when the next one is started: its start is part of it, and the group's session timeout
  (6 s in these tests).

{table(rows)}

## What was done

{done}
"""
