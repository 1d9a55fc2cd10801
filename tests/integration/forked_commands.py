"""Commands that are killed at a write, in processes of their own that have imported beforehand what it takes."""

import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from typing import Any

from flumen.models.processes.verifier import Verifier
from flumen.stores.kudu.jvm import JvmDriver
from flumen.stores.solr.updates import DocumentUpdates

_IMPORTED = (
    "cli.main",
    "models.runtime",
    "replay.reclassify.applying",
    "replay.reclassify.working",
    "stores.solr",
)


def begin(environment: Mapping[str, str], dies_at: float, *arguments: str) -> BaseProcess:
    """Begin `flumen` with these arguments, and these names in its environment. What it says is thrown away.

    It dies by SIGKILL: before the first write into Kudu or Solr at 0.5, behind it at 1, before the second at 1.5,
    and so on.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"flumen.{name}" for name in _IMPORTED])
    process = context.Process(target=_run, args=(dict(environment), dies_at, arguments))
    process.start()
    return process


def _run(environment: dict[str, str], dies_at: float, arguments: tuple[str, ...]) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.environ.update(environment)
    sys.argv = ["flumen", *arguments]
    writes = 0.0

    def counted(write: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(write)
        def written(*given: Any) -> Any:
            step()
            answer = write(*given)
            step()
            return answer

        return written

    def step() -> None:
        nonlocal writes
        writes += 0.5
        if writes == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    # What the test has verified already: it takes longer than all else.
    Verifier.verify = lambda *_, **__: None  # type: ignore[method-assign]
    JvmDriver.apply = counted(JvmDriver.apply)  # type: ignore[method-assign]
    DocumentUpdates.send = counted(DocumentUpdates.send)  # type: ignore[method-assign]
    from flumen.cli.main import run

    run()
