"""Who has a run in hand: one process on one machine, so that others there can tell whether it still is."""

import os
import platform
import time
import uuid
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

_SEPARATOR = ":"
_PLACE_DIGITS = 12
_ENDED = (b"Z", b"X", b"x")


@dataclass(frozen=True, slots=True)
class Claimant:
    """A process. `place`: the boot of a kernel and the namespace in which `pid` counts.

    `began`: ticks of the kernel's clock since that boot, which nobody can set, as they can the time of day.
    """

    host: str
    pid: int
    place: str
    began: int

    def __str__(self) -> str:
        return _SEPARATOR.join([self.host, str(self.pid), self.place, str(self.began)])

    def has_ended(self) -> bool:
        """Say whether it is known to have ended; of a process elsewhere, nothing is known."""
        if self.place != this_place():
            return False
        try:
            return _began(self.pid) != self.began
        except OSError:  # too many open files, say: that tells nothing of it
            return False


def parse_claimant(text: str) -> Claimant | None:
    """Return who a record names, or None where it is nobody."""
    host, *rest = text.rsplit(_SEPARATOR, 3)
    try:
        pid, place, began = rest
        return Claimant(host, int(pid), place, int(began))
    except ValueError:
        return None


def this_process() -> Claimant:
    """Return the process that asks."""
    return Claimant(platform.node() or "nameless", os.getpid(), this_place(), _began(os.getpid()) or 0)


@cache
def this_place() -> str:
    """Return what all processes share that can see one another, and no others; elsewhere than on Linux, nothing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - it leads to no file
    except OSError:
        boot, namespace = str(uuid.uuid4()), str(time.time_ns())
    return sha256(f"{boot} {namespace}".encode()).hexdigest()[:_PLACE_DIGITS]


def _began(pid: int) -> int | None:
    """Return when a process began; None where there is none, or its end only waits to be noticed.

    Source: proc(5), `/proc/PID/stat`: the third field is the state, the 22nd the start.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # A program's name is in brackets, and may itself have some, and spaces.
    state, *fields = stat.rpartition(b")")[2].split()
    return None if state in _ENDED else int(fields[18])
