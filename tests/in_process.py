"""`flumen` commands without a process of their own, which takes seconds to import what a test's process has already."""

import io
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout

import pytest

from flumen.cli.main import run


def call_flumen(environment: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as `call_for_bytes` does; its streams are text."""
    done = call_for_bytes(environment, *arguments)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def call_for_bytes(environment: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command with these variables of the environment: its exit code, and what it prints on which stream."""
    printed, said = io.BytesIO(), io.BytesIO()
    code = 0
    with (
        pytest.MonkeyPatch.context() as patch,
        io.TextIOWrapper(printed, "utf-8", write_through=True) as output,
        io.TextIOWrapper(said, "utf-8", write_through=True) as errors,
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["flumen", *arguments])
        try:
            run()
        except SystemExit as end:
            code = int(end.code or 0)
        contents = printed.getvalue(), said.getvalue()
    return subprocess.CompletedProcess(["flumen", *arguments], code, *contents)
