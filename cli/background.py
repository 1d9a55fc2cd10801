"""A worker that runs beside the command: the demo's. One that is left running is stopped by `flumen down`."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic_core import to_jsonable_python

from stack.folders import writing
from stack.process import ProcessId, spawn, stop
from streams.errors import StreamError
from streams.secrets import revealed
from streams.settings import Settings

_SHOWN_LOG = 2000


@dataclass(frozen=True, slots=True)
class BackgroundWorker:
    """A `flumen worker` in a process of its own, and its log."""

    process: ProcessId
    log: Path

    def is_ready(self) -> bool:
        """Say whether it classifies by now."""
        self.check()
        return "worker is ready" in self.log.read_text(errors="replace")

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            StreamError: it has ended; the message shows the end of its log.
        """
        if self.process.find() is None:
            tail = self.log.read_text(errors="replace")[-_SHOWN_LOG:]
            raise StreamError(f"the worker has ended. Its log, {self.log}, ends:\n{tail}")


def environment_of(settings: Settings, **more: object) -> dict[str, str]:
    """Return the settings that were given, and more by keyword, as `FLUMEN_*` names for another process.

    Secrets are among them in clear: it is for a process, and never to be shown.
    """
    real = {name: revealed(getattr(settings, name)) for name in settings.model_fields_set}
    given = to_jsonable_python(real) | more
    return {
        f"FLUMEN_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in given.items()
        if value is not None
    }


@contextmanager
def background_worker(
    home: Path, keep: bool, grace_s: float, name: str = "worker", settings: Mapping[str, str] | None = None
) -> Iterator[BackgroundWorker]:
    """Run a worker. At the end stop it, in at most `grace_s` seconds; with `keep`, leave it if all went well.

    `name` is that of its log, `settings` are `FLUMEN_*` names that it gets beside the environment's.
    """
    stop_kept_worker(home)
    log = home.absolute() / "logs" / f"{name}.log"
    worker = BackgroundWorker(spawn([sys.executable, "-P", "-m", "cli", "worker"], settings or {}, log), log)
    kept = False
    try:
        yield worker
        if keep:
            with writing(record := _record(home)):
                record.write_text(json.dumps(asdict(worker.process)))
            kept = True
    finally:
        if not kept:
            stop([worker.process], grace_s)


def stop_kept_worker(home: Path) -> bool:
    """Stop the worker that a demo left running, if there is one. Returns whether there was."""
    try:
        process = ProcessId(**json.loads(_record(home).read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return False
    running = process.find() is not None
    stop([process])
    _record(home).unlink(missing_ok=True)
    return running


def _record(home: Path) -> Path:
    return home.absolute() / "worker.json"
