"""What was measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

PACKAGES = (
    "confluent-kafka",
    "faust-streaming",
    "onnxruntime",
    "numpy",
    "pillow",
    "jpype1",
    "pysolr",
    "orjson",
)


def describe(*more: str) -> str:
    """Return the machine and the versions, those of `more` packages too, in two lines."""
    memory = psutil.virtual_memory().total / 2**30
    versions = " ".join(f"{name} {version(name)}" for name in (*PACKAGES, *more))
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB, Python {platform.python_version()}\n{versions}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
