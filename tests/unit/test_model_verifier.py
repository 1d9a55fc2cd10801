"""Model files looked into beside this process: what they may take there, and what becomes of it when it dies."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
from model_files import (
    IMAGES,
    expected_probabilities,
    file_of_many_parts,
    folding_file,
    manifest_for,
    onnx_file,
    small_model,
)

from flumen.cli.testing import wait_until
from flumen.models.errors import (
    GoldenMismatch,
    ModelCorrupt,
    ModelError,
    NotOnnx,
    TooMuchMemory,
    TooSlow,
    VerifierDied,
    VerifierUnavailable,
)
from flumen.models.limits import DEFAULT_LIMITS, VerifyLimits
from flumen.models.processes.verifier import Verifier
from flumen.models.repository import Repository
from flumen.models.runtime import OnnxClassifier
from flumen.models.structure import read_signature

CONTENT, MANIFEST = small_model()
MEBIBYTE = 1024 * 1024
SLOW = folding_file(side=4096, products=40)
LARGE = folding_file(side=8192, products=1)
UNHURRIED = VerifyLimits(time_s=600)


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with closing(Verifier()) as verifier:
        yield verifier


def pid(verifier: Verifier) -> int:
    assert verifier.helper_pid is not None
    return verifier.helper_pid


def test_one_helper_verifies_one_file_after_another(verifier: Verifier) -> None:
    verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS)
    first = pid(verifier)
    assert verifier.read_signature(CONTENT, "the file", DEFAULT_LIMITS) == read_signature(CONTENT, "")
    found = verifier.answer(CONTENT, MANIFEST, IMAGES, DEFAULT_LIMITS)
    np.testing.assert_allclose(found, expected_probabilities(), atol=1e-6)
    assert pid(verifier) == first


@pytest.mark.parametrize(
    ("content", "manifest", "reason"),
    [
        (CONTENT + b"x", MANIFEST, ModelCorrupt),
        (CONTENT[:-1], manifest_for(CONTENT[:-1]), NotOnnx),
        (
            SHIFTED := onnx_file(weights=np.eye(12, 3, dtype=np.float32)),
            manifest_for(SHIFTED),
            GoldenMismatch,
        ),
    ],
)
def test_a_refusal_is_the_helpers(
    verifier: Verifier, content: bytes, manifest: object, reason: type[Exception]
) -> None:
    verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS)
    helper = pid(verifier)
    with pytest.raises(reason, match="shapes@0"):
        verifier.verify(content, manifest, DEFAULT_LIMITS)  # type: ignore[arg-type]
    assert pid(verifier) == helper


def test_a_session_that_takes_for_ever_to_make_is_given_up(verifier: Verifier) -> None:
    assert len(SLOW) < 33_000
    with pytest.raises(TooSlow, match=r"shapes@0 takes more than 0\.3 s .* max_model_load_time_s\. Look for"):
        verifier.verify(SLOW, manifest_for(SLOW), VerifyLimits(time_s=0.3))
    with pytest.raises(TooSlow):
        verifier.answer(SLOW, manifest_for(SLOW), IMAGES, VerifyLimits(time_s=0.3))
    verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS)


def test_a_session_that_takes_much_memory_to_make_is_given_up(verifier: Verifier) -> None:
    limits = VerifyLimits(time_s=600, memory_bytes=64 * MEBIBYTE)
    with pytest.raises(TooMuchMemory, match=r"more than 67,108,864 bytes .* max_model_load_memory_bytes"):
        verifier.verify(LARGE, manifest_for(LARGE), limits)
    verifier.verify(CONTENT, MANIFEST, limits)


def test_a_file_that_takes_much_memory_to_parse_is_given_up(verifier: Verifier) -> None:
    content = file_of_many_parts(2_000_000)
    with pytest.raises(TooMuchMemory, match="a file takes more than 67,108,864 bytes"):
        verifier.read_signature(content, "a file", VerifyLimits(memory_bytes=64 * MEBIBYTE))


def test_the_time_is_the_files_alone(verifier: Verifier) -> None:
    limits = VerifyLimits(time_s=0.5)
    for _ in range(20):
        verifier.verify(CONTENT, MANIFEST, limits)


def test_a_helper_that_another_process_ended_costs_no_model(verifier: Verifier) -> None:
    verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS)
    before = pid(verifier)
    os.kill(before, signal.SIGKILL)
    verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS)
    assert pid(verifier) != before


def test_a_file_that_ends_its_helper_twice_is_refused(verifier: Verifier) -> None:
    steps = []

    def end_it() -> None:
        steps.append(pid(verifier))
        os.kill(pid(verifier), signal.SIGKILL)

    with pytest.raises(VerifierDied, match="shapes@0 has twice ended the process"):
        verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS, throttle=end_it)
    assert len(set(steps)) == 2
    verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS)


def test_what_a_helper_says_that_was_taken_over_is_not_run(children_answer_with_code: Path) -> None:
    with closing(Verifier()) as verifier, pytest.raises(VerifierDied):
        verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS)
    assert not children_answer_with_code.exists()


def test_whoever_gives_up_waiting_leaves_no_helper_at_work(verifier: Verifier) -> None:
    helpers = []

    def interrupted() -> None:
        helpers.append(pid(verifier))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verifier.verify(SLOW, manifest_for(SLOW), UNHURRIED, throttle=interrupted)
    assert not psutil.pid_exists(helpers[0])
    verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS)


def test_one_that_was_started_before_is_the_one_that_is_asked() -> None:
    with closing(Verifier()) as verifier:
        verifier.start()
        started = pid(verifier)
        verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS)
        assert pid(verifier) == started
    verifier.start()
    assert verifier.helper_pid is None


def test_closing_ends_a_busy_helper() -> None:
    verifier = Verifier()
    errors: list[ModelError] = []

    def ask() -> None:
        try:
            verifier.verify(SLOW, manifest_for(SLOW), UNHURRIED)
        except ModelError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until(lambda: verifier.worked_s > 0, "the helper to work")
    verifier.close()
    thread.join()
    assert [type(error) for error in errors] == [VerifierUnavailable]
    assert errors[0].retriable
    with pytest.raises(VerifierUnavailable):
        verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS)


def test_what_the_helper_works_is_told_at_each_step_and_never_falls(verifier: Verifier) -> None:
    told = []
    verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS, throttle=lambda: told.append(verifier.worked_s))
    os.kill(pid(verifier), signal.SIGKILL)
    verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS, throttle=lambda: told.append(verifier.worked_s))
    assert told == sorted(told)
    assert len(set(told)) > 2


def test_the_helper_stays_behind_when_told_and_so_does_the_next() -> None:
    with closing(Verifier()) as verifier:
        verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS)
        before = psutil.Process(pid(verifier)).nice()
        verifier.stay_behind(10)
        assert psutil.Process(pid(verifier)).nice() == 10 > before
        os.kill(pid(verifier), signal.SIGKILL)
        verifier.verify(CONTENT, MANIFEST, DEFAULT_LIMITS)
        assert psutil.Process(pid(verifier)).nice() == 10


def test_nothing_is_loaded_here_that_did_not_pass_there(
    tmp_path: object, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(str(tmp_path), limits=VerifyLimits(time_s=0.3), verifier=verifier)
    Repository(str(tmp_path)).register(CONTENT, MANIFEST)
    loaded = []
    make = OnnxClassifier.__init__

    def init(self: OnnxClassifier, content: bytes, *arguments: object) -> None:
        loaded.append(content)
        make(self, content, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(OnnxClassifier, "__init__", init)
    with pytest.raises(TooSlow):
        repository.register(SLOW, manifest_for(SLOW))
    repository.verify("shapes", 1)
    assert not loaded
    assert repository.load("shapes", 1).version == 1
    assert loaded == [CONTENT]


def test_neither_it_nor_onnx_runtime_prints_anything(
    verifier: Verifier, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TooMuchMemory):
        verifier.verify(LARGE, manifest_for(LARGE), VerifyLimits(memory_bytes=64 * MEBIBYTE))
    with pytest.raises(TooSlow):
        verifier.verify(SLOW, manifest_for(SLOW), VerifyLimits(time_s=0.3))
    assert capfd.readouterr() == ("", "")
