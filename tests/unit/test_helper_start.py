"""A stop does not wait for a helper process that starts, and leaves none behind."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from large_images import endless_jpeg
from model_files import small_model

from flumen.interceptor import Limits, Preprocess
from flumen.models.errors import DecoderUnavailable, VerifierUnavailable
from flumen.models.limits import DEFAULT_LIMITS
from flumen.models.processes.decoder import GuardedDecoder
from flumen.models.processes.verifier import Verifier


@pytest.fixture(autouse=True)
def never_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 600\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))


def verifying() -> tuple[Verifier, Callable[[], object]]:
    verifier = Verifier()
    return verifier, lambda: verifier.verify(*small_model(), DEFAULT_LIMITS)


def decoding() -> tuple[GuardedDecoder, Callable[[], object]]:
    decoder = GuardedDecoder()
    return decoder, lambda: decoder(endless_jpeg(), Limits(), Preprocess(width=32, height=24, channels=3))


@pytest.mark.parametrize("make", [verifying, decoding])
def test_close_ends_a_helper_that_starts(make: Callable[[], Any], wait_until: Callable[..., Any]) -> None:
    owner, work = make()
    errors: list[Exception] = []

    def ask() -> None:
        try:
            work()
        except (DecoderUnavailable, VerifierUnavailable) as error:
            errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    pid = wait_until(lambda: owner.helper_pid, "the helper to be started")
    closing = threading.Thread(target=owner.close, daemon=True)
    closing.start()
    closing.join(60)  # half of what a helper has to get ready
    assert not closing.is_alive()
    asking.join()
    assert "stopping" in str(errors[0])
    assert not psutil.pid_exists(pid)
