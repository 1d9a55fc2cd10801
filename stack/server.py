"""One server of the stack: how it is started, and how to know that it is ready."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from flumen.stack.errors import ServerFailed
from flumen.stack.process import ProcessId

READY_SECONDS = 120.0
POLL_SECONDS = 0.1
TAIL_LINES = 20

ADVICE = {
    r"Address already in use|Failed to bind": "another program took its port; run `flumen up` again",
    r"No space left on device": "the disk is full; free some space, or set FLUMEN_HOME to another disk",
    r"OutOfMemory|Cannot allocate memory|insufficient memory": "memory is short; end other programs",
    r"[Cc]orrupt": "its data is damaged; `flumen down --purge` starts afresh, without the data",
}


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: `arguments` begin with the program's full path; `environment` adds to what servers inherit."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Server:
    """A server.

    `group` names its artifacts. `ports` are its own and those it was told of: one that runs with others is
    restarted. `prepare` takes the group's files, makes the data folder ready and returns the command.
    `answers` asks the server itself, once, and returns within seconds.
    """

    name: str
    group: str
    address: str
    ports: Mapping[str, int]
    prepare: Callable[[Sequence[Path]], Command]
    answers: Callable[[], bool]


def wait_ready(
    server: Server, process: ProcessId, log: Path, cancelled: Event, timeout_s: float = READY_SECONDS
) -> None:
    """Return when the server answers, or when `cancelled` is set.

    Raises:
        ServerFailed: it died, or `timeout_s` have passed.
    """
    deadline = time.monotonic() + timeout_s
    while not server.answers():
        if process.find() is None:
            raise ServerFailed(explain(f"{server.name} died while starting", log))
        if time.monotonic() > deadline:
            late = f"{server.name} does not answer after {timeout_s:g} s; `flumen up --timeout` waits longer"
            raise ServerFailed(explain(late, log))
        if cancelled.wait(POLL_SECONDS):
            return


def explain(what: str, log: Path) -> str:
    """Return a message with the last lines of a log, where it is, and what to do."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
    except OSError as error:
        lines = [f"(no log: {error})"]
    tail = "\n".join(lines)
    found = [advice for pattern, advice in ADVICE.items() if re.search(pattern, tail)]
    advice = "; ".join(found) or "`flumen doctor` looks for the usual reasons; then run `flumen up` again"
    return f"{what}. The last lines of its log, {log}:\n{tail}\nWhat to do: {advice}"
