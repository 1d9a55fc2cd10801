"""docs/interceptors.md from start to end: an interceptor that is added where tables and an index are there already."""

import gzip
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flumen.cli.background import environment_of
from flumen.interceptor import load_chain, merge_columns
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.settings import Settings
from flumen.streams.sinks import chosen_stores, make_sinks

DOCUMENT = Path(__file__).parents[2] / "docs" / "interceptors.md"
IMAGES = "data/mnist/t10k-images-idx3-ubyte.gz"
COUNT = 20
_HEADER = {"images": 16, "labels": 8}
_SIZE = {"images": 28 * 28, "labels": 1}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, mnist: Path) -> Path:
    """A folder as the tutorial leaves it to the commands; of the images, only the first few."""
    (code,) = blocks("python")
    project, toml = blocks("toml")
    package = tmp_path / "flumen-ink"
    package.mkdir()
    (package / "flumen_ink.py").write_text(code)
    (package / "pyproject.toml").write_text(project)
    (tmp_path / "flumen.toml").write_text(toml)
    (tmp_path / IMAGES).parent.mkdir(parents=True)
    for what, header in _HEADER.items():
        (source,) = mnist.glob(f"t10k-{what}-*")
        content = gzip.decompress(source.read_bytes())
        few = content[:4] + COUNT.to_bytes(4) + content[8 : header + COUNT * _SIZE[what]]
        (tmp_path / IMAGES).with_name(source.name).write_bytes(gzip.compress(few))
    return tmp_path


def answer(command: list[str], said: bytes, **given: Any) -> subprocess.CompletedProcess[str]:
    """Run a command on a terminal, where somebody says this."""
    ours, theirs = pty.openpty()
    os.write(ours, said)
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=False, **given)
    os.close(ours)
    os.close(theirs)
    return done


def test_the_tutorial(
    settings: Settings,
    folder: Path,
    start_worker: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ensure_topics(settings)
    columns = merge_columns(step.columns for step in load_chain())
    for sink in make_sinks(
        settings, chosen_stores(settings), columns
    ):  # the demo has made tables and an index
        sink.connect()
        sink.close()

    setup, use = ([shlex.split(line) for line in block.splitlines()] for block in blocks("sh"))
    assert [line[:2] for line in setup] == [
        [".", ".venv/bin/activate"],
        ["pip", "install"],
        ["flumen", "up"],
        ["flumen", "tables"],
        ["flumen", "worker"],
    ]
    # Beside flumen, but not into the environment that other tests run in.
    install = ["--no-deps", "--no-build-isolation", "--quiet", "--target", str(folder / "site"), setup[1][2]]
    subprocess.run([sys.executable, "-m", "pip", "install", *install], check=True, cwd=folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder / "site"))
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)

    def flumen(*arguments: str, said: bytes = b"") -> subprocess.CompletedProcess[str]:
        return answer([sys.executable, "-m", "flumen", *arguments], said)

    early = start_worker()
    assert early.process.wait(120) == 1
    assert "column 'ink' is missing, expected FLOAT" in early.log.read_text()
    assert "flumen tables migrate`" in early.log.read_text()

    plan = [
        {"store": "kudu", "table": f"{settings.kudu_table_prefix}images", "column": "ink", "type": "FLOAT"}
    ]
    assert json.loads(flumen("tables", "migrate", "--dry-run", "--json").stdout) == plan
    command = [sys.executable, "-m", "flumen", "tables", "migrate"]
    silent = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (silent.returncode, b"Add --yes" in silent.stderr) == (1, True)
    migrated = flumen(*setup[3][1:], said=b"y\n")
    assert migrated.returncode == 0, migrated.stderr
    assert "ink" in migrated.stdout
    assert "Nothing is missing" in flumen("tables", "migrate", "--yes").stderr

    worker = start_worker()
    worker.wait_for_line("worker is ready")
    produce, sql, search = use
    assert flumen(*produce[1:]).returncode == 0
    wait_until_acknowledged(COUNT, worker)
    inks = json.loads(flumen(*sql[1:], "--json").stdout)
    assert len(inks) > 5
    assert all(0 < row["ink"] < 0.5 for row in inks)
    found = json.loads(flumen("search", "ink:[0.01 TO *]", *search[3:], "--json").stdout)
    assert found["found"] == COUNT
    assert all(0 < image["ink"] < 0.5 for image in found["images"])
    assert worker.stop() == 0
