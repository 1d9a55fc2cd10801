"""Where the stack keeps its things under `home`, and what it records there."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from flumen.stack.errors import StackError
from flumen.stack.process import ProcessId
from flumen.stores.artifacts import FolderUnusable
from flumen.stores.artifacts.folders import writing


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where clients reach the servers: two times `host:port`, and a URL that ends in `/solr`."""

    NAMES: ClassVar[frozenset[str]] = frozenset(["kafka_servers", "kudu_masters", "solr_url"])
    """The names of flumen's settings for them."""

    kafka: str
    kudu_masters: str
    solr_url: str

    @property
    def settings(self) -> dict[str, str]:
        """What flumen's settings are to be."""
        return {"kafka_servers": self.kafka, "kudu_masters": self.kudu_masters, "solr_url": self.solr_url}


@dataclass(frozen=True, slots=True)
class State:
    """What runs: a port for each listener, and a process for each server by its name."""

    ports: Mapping[str, int] = field(default_factory=dict)
    processes: Mapping[str, ProcessId] = field(default_factory=dict)

    def running(self) -> dict[str, ProcessId]:
        """Return the processes that still run."""
        return {name: process for name, process in self.processes.items() if process.find()}


@dataclass(frozen=True, slots=True)
class Layout:
    """The files under `home/stack`."""

    home: Path

    @property
    def root(self) -> Path:
        """The folder of the stack."""
        return self.home / "stack"

    @property
    def folders(self) -> list[Path]:
        """The folders that `down --purge` removes, by name: what else lies there is somebody else's."""
        return [self.root / name for name in ("kafka", "kudu", "solr", "logs")]

    @property
    def records(self) -> list[Path]:
        """The files that it removes."""
        names = ("endpoints.json", "servers.json")
        return [self.lock, *(self.root / each for name in names for each in (name, f"{name}.new"))]

    @property
    def lock(self) -> Path:
        """Held while the stack is changed."""
        return self.home / "stack.lock"

    def data(self, name: str) -> Path:
        """Return the data folder of a server."""
        return self.root / name

    def log(self, name: str) -> Path:
        """Return the log of a server since its last start; the one before has `.1` behind its name."""
        return self.root / "logs" / f"{name}.log"

    def read_endpoints(self) -> tuple[Endpoints, str] | None:
        """Return the recorded endpoints and what serves them, `local` or `docker`; None after `down`.

        Raises:
            StackError: the record cannot be read.
        """
        record = self._read("endpoints.json")
        if record is None:
            return None
        through = record.pop("through")
        return Endpoints(**record), through

    def write_endpoints(self, endpoints: Endpoints, through: str) -> None:
        """Record the endpoints, for every other command to find."""
        self._write("endpoints.json", {**asdict(endpoints), "through": through})

    def require_no_other(self, through: str) -> None:
        """Return if nothing else than `through` serves this home.

        Raises:
            StackError: the other one does.
        """
        record = self.read_endpoints()
        if record is not None and record[1] != through:
            where = {"local": "on this machine", "docker": "in containers"}[record[1]]
            raise StackError(f"the servers of {self.home} already run {where}; `flumen down` stops them")

    def forget_endpoints(self) -> None:
        """Remove the record of the endpoints; the ports stay recorded for the next start."""
        with writing(record := self.root / "endpoints.json"):
            record.unlink(missing_ok=True)

    def read_state(self) -> State:
        """Return the recorded state, an empty one where nothing ever ran.

        Raises:
            StackError: the record cannot be read.
        """
        record = self._read("servers.json")
        if record is None:
            return State()
        processes = {name: ProcessId(**process) for name, process in record["processes"].items()}
        return State(record["ports"], processes)

    def write_state(self, state: State) -> None:
        """Record the state."""
        self._write("servers.json", asdict(state))

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.root / name
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise FolderUnusable(
                f"{path} cannot be read: {error.strerror}. Set FLUMEN_HOME to a folder that this user may read"
            ) from error
        except ValueError as error:
            raise StackError(
                f"{path} is damaged ({error}); end the servers it named, remove it, try again"
            ) from error
        return record

    def _write(self, name: str, record: Mapping[str, Any]) -> None:
        with writing(self.root / name):
            self.root.mkdir(parents=True, exist_ok=True)
            draft = self.root / f"{name}.new"
            draft.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            draft.replace(self.root / name)
