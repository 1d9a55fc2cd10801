"""The servers that are hurt: a stack of the tests' own, each server a process to be stopped and killed."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from flumen.stack.layout import Layout
from flumen.stack.local import up

CONFIGSET = Path(__file__).parents[2] / "stores" / "solr" / "configset"


@dataclass(frozen=True, slots=True)
class Servers:
    """The local stack under `home`. Servers are named as in it: kafka, kudu-master, kudu-tserver, solr."""

    home: Path

    def start_missing(self) -> None:
        """Start, with their data, the servers that do not run, and wait until all answer."""
        up(self.home, CONFIGSET)

    def kill(self, name: str) -> None:
        """Kill -9, and return when the process is gone."""
        process = self._find(name)
        if process is not None:
            process.kill()
            process.wait(60)  # not only its first thread: until the last one has ended, its port is taken

    def runs(self, name: str) -> bool:
        """Whether the server has a process."""
        return name in Layout(self.home).read_state().running()

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """SIGSTOP for as long as the body runs."""
        self._send(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self._send(name, signal.SIGCONT)

    def _send(self, name: str, number: signal.Signals) -> None:
        if (process := self._find(name)) is not None:
            process.send_signal(number)

    def _find(self, name: str) -> psutil.Process | None:
        return Layout(self.home).read_state().processes[name].find()


def last(seconds: float) -> None:
    """Let a fault last: the only sleep of these tests that is no poll."""
    time.sleep(seconds)
