"""The contenders, each in a process of its own: the hand-written loop, and `flumen worker`."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from bench.setting import SAME_WORK, Setting
from flumen.cli.background import environment_of
from flumen.models.repository import Repository
from flumen.streams.kafka.topic_reader import TopicReader
from flumen.streams.settings import Settings

_TIMEOUT_S = 300.0
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class RunFigures:
    """One run. `cpu_s`: seconds of the contender's own process; `memory`: bytes at 0, 25, 50, 75 and 100 % of it."""

    images_per_second: float
    cpu_s: float
    memory: list[int]


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    rss: int
    cpu_s: float
    acknowledged: int


def run_loop(setting: Setting) -> RunFigures:
    """Run the hand-written loop over all messages, into fresh tables of the same columns."""
    settings = _fresh(setting)
    champion = Repository(settings.model_repository).resolve(settings.model_name)
    task = {
        "kafka": settings.kafka_servers,
        "group": settings.group_id,
        "topic": settings.images_topic,
        "images": setting.images,
        "model": champion.name,
        "version": champion.version,
        "model_path": f"{settings.model_repository}/{champion.name}/{champion.version}/model.onnx",
        "kudu_masters": settings.kudu_masters,
        "prefix": settings.kudu_table_prefix,
        "classpath": [str(jar) for jar in setting.classpath],
        "solr_core_url": f"{settings.solr_url}/{settings.solr_core}",
    }
    return _race(setting, settings, ["-m", "bench.loop", json.dumps(task)], {})


def run_flumen(setting: Setting, interceptors: tuple[str, ...] = SAME_WORK) -> RunFigures:
    """Run `flumen worker` over all messages, into fresh tables of the columns of these interceptors."""
    settings = _fresh(setting, interceptors)
    return _race(setting, settings, ["-P", "-m", "flumen", "worker"], environment_of(settings))


def _fresh(setting: Setting, interceptors: tuple[str, ...] = SAME_WORK) -> Settings:
    """Return settings for one run, its tables and index made already, so that no contender pays for that."""
    settings = setting.fresh(interceptors)
    for sink in setting.sinks(settings):
        sink.close()
    return settings


def _race(
    setting: Setting, settings: Settings, arguments: list[str], environment: dict[str, str]
) -> RunFigures:
    """Run until the last offset is committed. The clock starts when the log says `partitions assigned`."""
    observer = TopicReader(settings)
    with tempfile.NamedTemporaryFile(prefix="flumen-bench-", suffix=".log") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
        )
        try:
            samples = _sample(setting, settings, observer, psutil.Process(process.pid))
            assigned = _assigned_at(Path(log.name))
        except (psutil.Error, TimeoutError) as error:
            raise SystemExit(
                f"a contender failed ({error}):\n{Path(log.name).read_text()[-3000:]}"
            ) from error
        finally:
            observer.close()
            process.terminate()
            process.wait(60)
    during = [sample for sample in samples if sample.at >= assigned]
    seconds = samples[-1].at - assigned
    memory = [during[round(part * (len(during) - 1))].rss for part in (0, 0.25, 0.5, 0.75, 1)]
    return RunFigures(setting.images / seconds, during[-1].cpu_s - during[0].cpu_s, memory)


def _sample(
    setting: Setting, settings: Settings, observer: TopicReader, process: psutil.Process
) -> list[_Sample]:
    samples: list[_Sample] = []
    deadline = time.time() + _TIMEOUT_S
    while not samples or samples[-1].acknowledged < setting.images:
        if time.time() > deadline:
            raise TimeoutError(f"not done after {_TIMEOUT_S:.0f} s")
        acknowledged = observer.progress(settings.images_topic).acknowledged
        with process.oneshot():
            cpu = process.cpu_times()
            samples.append(
                _Sample(time.time(), process.memory_info().rss, cpu.user + cpu.system, acknowledged)
            )
        time.sleep(_LOOK_EVERY_S)
    return samples


def _assigned_at(log: Path) -> float:
    for line in log.read_text().splitlines():
        if line.startswith("{") and json.loads(line)["event"] == "partitions assigned":
            return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
    raise TimeoutError("its log never said `partitions assigned`")
