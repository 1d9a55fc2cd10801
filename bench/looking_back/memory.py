"""The most memory that each command takes, over fewer rows and over more: flat, or not."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.looking_back.stored import ANSWERED_BY, ASKED
from flumen.cli.background import environment_of
from flumen.streams.settings import Settings

EXPORT = "SQL export"

_LOOK_EVERY_S = 0.05
"""What a process takes more after the last look is not seen; what it took before, the system remembers."""


@dataclass(frozen=True, slots=True)
class Peak:
    """One command: the most bytes that its process had in memory (resident; its JVM is in it), and its seconds."""

    bytes: int
    seconds: float


def commands(settings: Settings, folder: Path, number: int) -> Mapping[str, Sequence[str]]:
    """Return what is measured, by its name. `number` keeps the files of one run apart from those of another."""
    former, new = (f"{settings.model_name}@{version}" for version in (ANSWERED_BY, ASKED))
    first = _first_days()
    return {
        "reclassify": ["reclassify", new, "--again"],
        "impact": ["impact", former, new, "--all"],
        "audit": ["audit", "--grace", "0"],
        "drift": ["drift", former, "--reference", first],
        EXPORT: ["sql", "select * from images", "--output", str(folder / f"images-{number}.parquet")],
    }


def peaks(settings: Settings, rows: int) -> dict[str, Peak]:
    """Run each command over the images that are stored, one after another."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="flumen-bench-") as folder:
        for name, arguments in commands(settings, Path(folder), rows).items():
            found[name] = _peak(settings, arguments)
    return found


def _peak(settings: Settings, arguments: Sequence[str]) -> Peak:
    command = [sys.executable, "-P", "-m", "flumen", *arguments]
    environment = os.environ | environment_of(settings)
    with tempfile.TemporaryFile() as said:
        started = time.monotonic()
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        most = 0
        while process.poll() is None:
            most = max(most, _most_so_far(process.pid))
            time.sleep(_LOOK_EVERY_S)
        seconds = time.monotonic() - started
        if process.returncode:
            said.seek(0)
            end = said.read()[-2000:].decode(errors="replace")
            raise SystemExit(f"flumen {' '.join(arguments)} failed:\n{end}")
    return Peak(most, seconds)


def _most_so_far(pid: int) -> int:
    """Return the most bytes that a process has had in memory since its program began; 0 of one that has ended.

    Not from `wait4`: that counts what its parent had when it was forked.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else 0


def _first_days() -> str:
    day = 86_400
    start, end = (time.strftime("%Y-%m-%d", time.gmtime(time.time() - days * day)) for days in (12, 8))
    return f"{start}..{end}"
