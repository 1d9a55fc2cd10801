"""One run of one contender: started, looked at every 0.2 s, stopped. What was seen is kept, to be judged later."""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psutil

from bench.contenders import Contender
from bench.offsets import Commit, CommitLog
from bench.processes import Watched
from bench.setting import Setting
from flumen.streams.settings import Settings

LOOK_S = 0.2
"""A look is one request to Kafka and reading a few files: every 20 ms, it cost 60 ms of CPU in 1,000 images."""

MARKS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Parts of a run at which threads and memory are looked at as well."""

_TIMEOUT_S = 600.0
_ASSIGNED = "partitions assigned"


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one time: messages done, and seconds of CPU since each process's start."""

    at: float
    done: int
    cpu_s: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """What was seen beside that when a part of the run was done: CPU by process and thread, and memory."""

    look: Look
    thread_cpu_s: Mapping[tuple[str, str], float]
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Race:
    """One run: times in seconds since 1970, `marks` in the order of `MARKS`."""

    images: int
    executed_at: float
    assigned_at: float
    looks: Sequence[Look]
    marks: Sequence[Mark]
    commits: Sequence[Commit]


@dataclass(slots=True)
class Running:
    """A contender that runs, and what tells of it."""

    process: subprocess.Popen[bytes]
    watched: Watched
    commits: CommitLog
    log: Path
    executed_at: float
    looks: list[Look] = field(default_factory=list)

    def look(self) -> Look:
        """Look once.

        Raises:
            SystemExit: it has ended, with the end of its log.
        """
        if self.process.poll() is not None:
            self.fail("it has ended")
        look = Look(time.time(), self.commits.acknowledged(), self.watched.cpu_s())
        self.looks.append(look)
        return look

    def look_until(self, done: int) -> Look:
        """Look every 0.2 s until so many messages are done."""
        deadline = time.monotonic() + _TIMEOUT_S
        while (look := self.look()).done < done:
            if time.monotonic() > deadline:
                self.fail(f"only {look.done:,} of {done:,} done after {_TIMEOUT_S:.0f} s")
            time.sleep(LOOK_S)
        return look

    def mark(self, look: Look) -> Mark:
        return Mark(look, self.watched.thread_cpu_s(), self.watched.memory_bytes())

    def assigned_at(self) -> float | None:
        """Return when it said that it reads, if it has."""
        for line in self.log.read_text(errors="replace").splitlines():
            if line.startswith("{") and _ASSIGNED in line:
                return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
        return None

    def fail(self, why: str) -> None:
        raise SystemExit(f"a contender failed ({why}):\n{self.log.read_text(errors='replace')[-3000:]}")


def race(contender: Contender, setting: Setting) -> Race:
    """Run a contender over all messages, into fresh tables and a fresh index, which are dropped behind it."""
    with running(contender, setting) as (run, _):
        deadline = time.monotonic() + _TIMEOUT_S
        while (assigned_at := run.assigned_at()) is None:
            if time.monotonic() > deadline:
                run.fail(f"its log does not say `{_ASSIGNED}`")
            run.look()
            time.sleep(LOOK_S)
        marks = [run.mark(run.look_until(round(part * setting.images))) for part in MARKS]
        commits = run.commits.read()
    return Race(setting.images, run.executed_at, assigned_at, run.looks, marks, commits)


@contextmanager
def running(contender: Contender, setting: Setting) -> Iterator[tuple[Running, Settings]]:
    """Start a contender, with tables and an index that are there already: none pays for making them."""
    settings = setting.fresh(contender.interceptors)
    with ExitStack() as ending:
        ending.callback(setting.discard, settings)
        for sink in setting.sinks(settings):
            sink.close()
        command, environment = contender.command(setting, settings)
        commits = CommitLog(
            settings.kafka_servers, settings.group_id, settings.images_topic, settings.topic_partitions
        )
        ending.callback(commits.close)
        log = ending.enter_context(tempfile.NamedTemporaryFile(prefix="flumen-bench-", suffix=".log"))
        executed_at = time.time()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        ending.callback(_end, process)
        try:
            watched = Watched(psutil.Process(process.pid), setting.server_processes())
            yield Running(process, watched, commits, Path(log.name), executed_at), settings
        except psutil.Error as error:
            raise SystemExit(f"{contender.name} is gone: {Path(log.name).read_text()[-3000:]}") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
