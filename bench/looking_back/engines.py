"""`flumen reclassify` by Spark and by one process, as commands, on the same images, in turns."""

import os
import subprocess
import sys

from bench.looking_back.stored import ASKED
from bench.looking_back.turns import Turns, take_turns
from flumen.cli.background import environment_of
from flumen.streams.settings import Settings

SPARK, PROCESS = "spark", "one process"


def has_spark() -> bool:
    """Say whether the command has an engine to choose."""
    command = [sys.executable, "-P", "-m", "flumen", "reclassify", "--help"]
    asked = subprocess.run(command, capture_output=True, check=True, env=os.environ | {"COLUMNS": "200"})
    return b"--engine" in asked.stdout


def engine_turns(settings: Settings, rows: int, repeats: int) -> Turns:
    """Run the whole command by each engine, its start with it."""

    def run(*more: str) -> int:
        model = f"{settings.model_name}@{ASKED}"
        command = [sys.executable, "-P", "-m", "flumen", "reclassify", model, "--again", *more]
        environment = os.environ | environment_of(settings)
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr.decode(errors='replace')[-2000:]}")
        return rows

    return take_turns(rows, {SPARK: lambda: run("--engine", "spark"), PROCESS: run}, repeats)
