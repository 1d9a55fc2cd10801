"""What processes take, from outside: CPU by process and by thread, and memory. Linux alone; nothing runs in them."""

import re
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import psutil

OWN, CHILDREN, BENCH = "itself", "its child processes", "(the bench)"
"""The contender's own process, and all that it has started; and what looks at them, which counts for nobody."""

_FIND_CHILDREN_S = 2.0
"""To find them, all processes of the machine are read; one that ends in between counts with what started it."""

_ROLES = (
    (r"C[12] Compiler.*|Sweeper thread|.*Janino.*", "JVM: JIT"),
    (r"GC .*|G1 .*|.*Serial.*|Shenandoah.*|ZGC.*", "JVM: GC"),
    (r"VM Thread|VM Periodic.*", "JVM: VM thread (serial GC too)"),
    (r"Python Referenc.*|JPype.*", "JPype's reference queue"),
    (r"kudu-nio.*|New I/O.*", "kudu-nio"),
    (r"rdk:.*", "librdkafka"),
    (r"qtp.*", "Solr: requests"),
    (r"Lucene Merge.*", "Solr: merges"),
    (r"commitScheduler.*|searcherExecuto.*", "Solr: commits"),
    (r"data-plane-.*|kafka-.*|group-.*|ReplicaF.*", "Kafka: requests"),
)


class Watched:
    """The contender's process, and the servers' by name."""

    def __init__(self, contender: psutil.Process, servers: Mapping[str, psutil.Process]) -> None:
        self._contender = contender
        self._servers = servers
        self._found: list[psutil.Process] = []
        self._found_at = 0.0

    def cpu_s(self) -> dict[str, float]:
        """Return the seconds of CPU that each has taken since its start."""
        own = self._contender.cpu_times()
        looking = time.process_time()
        taken = {
            OWN: own.user + own.system,
            CHILDREN: own.children_user + own.children_system + sum(map(_with_ended, self._children())),
        }
        for name, process in self._servers.items():
            times = process.cpu_times()
            taken[name] = times.user + times.system
        taken[BENCH] = looking
        return taken

    def thread_cpu_s(self) -> dict[tuple[str, str], float]:
        """Return the seconds of the threads that live, by process and by what the thread does."""
        taken: defaultdict[tuple[str, str], float] = defaultdict(float)
        children = [(CHILDREN, child) for child in self._children()]
        for name, process in [(OWN, self._contender), *children, *self._servers.items()]:
            for role, seconds in _threads(process.pid).items():
                taken[name, role] += seconds
        return dict(taken)

    def memory_bytes(self) -> int:
        """Return what the contender and its child processes keep; what they share counts once (PSS)."""
        return sum(map(_memory, [self._contender, *self._children()]))

    def _children(self) -> list[psutil.Process]:
        if time.monotonic() - self._found_at > _FIND_CHILDREN_S:
            self._found, self._found_at = self._contender.children(recursive=True), time.monotonic()
        return self._found


def role(thread: str, is_main: bool = False) -> str:
    """Return what a thread does, by its name: numbers at its end do not tell threads apart."""
    if is_main:
        return "main thread"
    for pattern, name in _ROLES:
        if re.fullmatch(pattern, thread):
            return name
    return re.sub(r"[-_#\d]+$", "", thread)


def _threads(pid: int) -> dict[str, float]:
    taken: defaultdict[str, float] = defaultdict(float)
    for task in Path("/proc").glob(f"{pid}/task/*"):
        try:
            nanoseconds = int((task / "schedstat").read_text().split()[0])
            name = (task / "comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        taken[role(name, task.name == str(pid))] += nanoseconds / 1e9
    return taken


def _with_ended(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0
