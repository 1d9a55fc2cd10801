"""What a peer is to do: JSON, in the argument of its process. It is all that the peer gets of flumen."""

import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Task:
    """Read a topic in a group, classify what comes, and store it, until the process is ended.

    `preprocess`: how the model reads pixels, as its manifest has it. `full`: all columns that flumen writes; else the
    21 that an afternoon's work has.
    """

    kafka: str
    group: str
    topic: str
    model: str
    version: int
    model_path: str
    labels: tuple[str, ...]
    preprocess: dict[str, Any]
    kudu_masters: str
    prefix: str
    classpath: tuple[str, ...]
    solr_core_url: str
    full: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def given_task() -> Task:
    """Return the task in this process's argument."""
    return Task(**json.loads(sys.argv[1]))


def say_assigned(*_: object) -> None:
    """Say that messages are about to come, which starts the clock: as `flumen worker` says it in its log."""
    now = datetime.now(UTC).isoformat()
    print(json.dumps({"event": "partitions assigned", "timestamp": now}), flush=True)
