"""Who is measured: the peers of `bench.peers`, and `flumen worker` with some of its interceptors and processes."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers.task import Task
from bench.setting import SAME_WORK, Setting
from flumen.cli.background import environment_of
from flumen.interceptor import DEFAULT_CHAIN
from flumen.models.repository import MODEL_FILE, Repository
from flumen.streams.settings import Settings

ROOT = Path(__file__).parent.parent
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
"""The peers that want other packages than flumen have an environment of their own; `make bench` makes it."""

_PROCESSES = "interception_processes"


@dataclass(frozen=True, slots=True)
class Contender:
    """One program. `peer`: its module in `bench.peers`, for what is not flumen.

    `interceptors` say which columns it writes. `processes`: how many a worker intercepts in; None is its own choice.
    """

    name: str
    interceptors: tuple[str, ...]
    peer: str | None = None
    python: Path = Path(sys.executable)
    processes: int | None = None

    def command(self, setting: Setting, settings: Settings) -> tuple[Sequence[str], dict[str, str]]:
        """Return what to run, and the environment to run it in."""
        if self.peer is not None:
            task = _task(self, setting, settings)
            return [str(self.python), "-m", f"bench.peers.{self.peer}", task.to_json()], dict(os.environ)
        given = {} if self.processes is None else {_PROCESSES: self.processes}
        launcher = str(ROOT / "bench" / "named_threads.py")
        return [str(self.python), "-P", launcher, "worker"], {
            **os.environ,
            **environment_of(settings, **given),
        }


LOOP = Contender("hand-written loop", SAME_WORK, peer="loop")
LOOP_IN_FULL = Contender("loop, in full", DEFAULT_CHAIN, peer="loop")
QUIX = Contender("Quix Streams", SAME_WORK, peer="quix", python=PEERS_PYTHON)
BYTEWAX = Contender("Bytewax", SAME_WORK, peer="bytewax_flow", python=PEERS_PYTHON)
SAME = Contender("flumen, same work", SAME_WORK)
FULL = Contender("flumen, in full", DEFAULT_CHAIN)

MAIN = (LOOP, LOOP_IN_FULL, SAME, FULL)


def in_processes(most: int = 4) -> list[Contender]:
    """Return workers that intercept in one to so many processes."""
    return [
        Contender(f"flumen, in full, {count} proc.", DEFAULT_CHAIN, processes=count)
        for count in range(1, most + 1)
    ]


def other_frames() -> list[Contender]:
    """Return the stream processors that have been installed."""
    return [QUIX, BYTEWAX] if PEERS_PYTHON.exists() else []


def _task(contender: Contender, setting: Setting, settings: Settings) -> Task:
    repository = Repository(settings.model_repository)
    champion = repository.resolve(settings.model_name)
    folder = Path(settings.model_repository) / champion.name / str(champion.version)
    return Task(
        kafka=settings.kafka_servers,
        group=settings.group_id,
        topic=settings.images_topic,
        model=champion.name,
        version=champion.version,
        model_path=str(folder / MODEL_FILE),
        labels=tuple(champion.labels),
        preprocess=setting.preprocess(),
        kudu_masters=settings.kudu_masters,
        prefix=settings.kudu_table_prefix,
        classpath=tuple(str(jar) for jar in setting.classpath),
        solr_core_url=f"{settings.solr_url}/{settings.solr_core}",
        full=contender.interceptors == DEFAULT_CHAIN,
    )
