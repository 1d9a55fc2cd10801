"""Workers that run beside the command: the demo's. Those that are left running are stopped by `flumen down`."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic_core import to_jsonable_python

from flumen.stack.process import ProcessId, spawn, stop
from flumen.stores.artifacts.folders import writing
from flumen.streams.errors import StreamError
from flumen.streams.secrets import revealed
from flumen.streams.settings import Settings

LOGS = "logs"
"""The folder of their logs, in the home."""

_SHOWN_LOG = 2000


@dataclass(frozen=True, slots=True)
class BackgroundWorker:
    """A `flumen worker` in a process of its own, and its log. `is_left`: it runs on when the command has ended well."""

    process: ProcessId
    log: Path
    is_left: bool

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

    One of the same `name` that was left before is stopped first; then this one takes its place, and is left too. `name`
    is that of its log, `settings` are `FLUMEN_*` names that it gets beside the environment's.
    """
    record = home.absolute() / f"{name}.json"
    is_left = _stop_recorded(record) or keep
    log = home.absolute() / LOGS / f"{name}.log"
    environment = {**os.environ, **(settings or {})}
    process = spawn([sys.executable, "-P", "-m", "flumen", "worker"], environment, log)
    try:
        # Recorded at once: a command that is killed leaves a worker that `flumen down` finds.
        with writing(record):
            record.write_text(json.dumps(asdict(process)))
        yield BackgroundWorker(process, log, is_left)
    except BaseException:
        is_left = False
        raise
    finally:
        if not is_left:
            stop([process], grace_s)
            record.unlink(missing_ok=True)


def stop_kept_workers(home: Path) -> list[str]:
    """Stop the workers that a demo left running. Return the names of those that ran."""
    records = sorted(home.absolute().glob("worker*.json"))
    return [record.stem for record in records if _stop_recorded(record)]


def remove_logs(home: Path) -> None:
    """Remove the logs of the workers that ran beside a command; the folder too if nothing else is in it."""
    folder = home.absolute() / LOGS
    if not folder.is_dir():
        return
    with writing(folder):
        for log in folder.glob("worker*.log*"):
            log.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def _stop_recorded(record: Path) -> bool:
    """Stop the worker of a record; say whether it ran."""
    try:
        process = ProcessId(**json.loads(record.read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return False
    ran = process.find() is not None
    stop([process])
    record.unlink(missing_ok=True)
    return ran
