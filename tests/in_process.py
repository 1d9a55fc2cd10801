"""`flumen` commands without a process of their own, which takes seconds to import what a test's process has already."""

import io
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout

import pytest

from flumen.cli.main import run


def call_flumen(environment: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with these variables of the environment: its exit code, and what it prints on which stream."""
    printed, said = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    code = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(said):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["flumen", *arguments])
        try:
            run()
        except SystemExit as end:
            assert end.code is None or isinstance(end.code, int)
            code = end.code or 0
    texts = (stream.buffer.getvalue().decode() for stream in (printed, said))  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(["flumen", *arguments], code, *texts)
