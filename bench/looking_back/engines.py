"""`flumen reclassify` by Spark and by one process, as commands, on the same images, in turns."""

import os
import subprocess
import sys
from importlib.util import find_spec

from bench.looking_back.stored import ASKED
from bench.looking_back.turns import Turns, take_turns
from flumen.cli.background import environment_of
from flumen.streams.settings import Settings

SPARK, PROCESS = "spark", "one process"
CORES = 2


def has_spark() -> bool:
    """Say whether PySpark is installed."""
    return find_spec("pyspark") is not None


def engine_turns(settings: Settings, rows: int, repeats: int) -> Turns:
    """Run the whole command by each engine, its start with it."""

    def run(*more: str) -> int:
        model = f"{settings.model_name}@{ASKED}"
        command = [sys.executable, "-P", "-m", "flumen", "reclassify", model, *more]
        environment = os.environ | environment_of(settings)
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr.decode(errors='replace')[-2000:]}")
        return rows

    ways = {
        SPARK: lambda: run("--engine", "spark", "--master", f"local[{CORES}]"),
        PROCESS: lambda: run("--again"),
    }
    return take_turns(rows, ways, repeats)
