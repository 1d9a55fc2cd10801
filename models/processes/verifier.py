"""Looking into model files beside this process: nothing of a file is parsed or run here before it has passed there.

A file of few bytes can take any time and memory, where its session is made as well as where it runs. The helper
(models/processes/verifier_process.py) holds itself to the time limit; this side measures its memory, sees how it ended,
and blames the file only for what the file did.
"""

import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

import numpy as np
import structlog
from numpy.typing import NDArray

from flumen.models.errors import ModelError, TooSlow, VerifierDied, VerifierUnavailable
from flumen.models.limits import VerifyLimits
from flumen.models.manifest import Manifest
from flumen.models.processes.child_process import NotStarted
from flumen.models.processes.verifier_child import Helper, not_started, start_helper
from flumen.models.processes.verifier_tasks import Answer, ReadSignature, Task, Throttle, Verify
from flumen.models.structure import Signature
from flumen.models.verify import MAX_MODEL_BYTES, WARM_UP_SIZES

log = structlog.get_logger(__name__)

_STOPPING = "no model is verified any more: this process is stopping"


class Verifier:
    """Looks into model files in a helper process, which is started for the first file and kept for the next.

    Any thread may ask; the files are looked into one after another.
    """

    def __init__(self) -> None:
        self._helper: Helper | None = None
        self._asking = threading.Lock()
        self._lock = threading.Lock()
        self._closed = False
        self._niceness = 0
        self._worked_s = 0.0

    @property
    def helper_pid(self) -> int | None:
        """The helper's process id, where there is one."""
        helper = self._helper
        return None if helper is None else helper.child.process.pid

    @property
    def worked_s(self) -> float:
        """Processor time of the helpers in seconds, as of the last step; not what an ended one's last step took."""
        with self._lock:
            return self._worked_s + (self._helper.worked_s if self._helper else 0)

    def start(self) -> None:
        """Start the helper, and do not wait for it: it gets ready while other things are done.

        Where it does not start, whoever asks first tries again, and is told.
        """
        with suppress(VerifierUnavailable), self._lock:
            self._current()

    def verify(
        self,
        content: bytes,
        manifest: Manifest,
        limits: VerifyLimits,
        *,
        threads: int = 1,
        max_bytes: int = MAX_MODEL_BYTES,
        batch_sizes: Sequence[int] = WARM_UP_SIZES,
        throttle: Throttle = lambda: None,
    ) -> None:
        """Do what `flumen.models.verify.verify` does; `throttle` is called here, and the helper waits meanwhile.

        Raises:
            ModelRefused: the subclass is the reason.
            VerifierUnavailable: there is no helper: it does not start, or this verifier is closed.
        """
        self._ask(Verify(manifest, threads, max_bytes, tuple(batch_sizes)), content, limits, throttle)

    def read_signature(self, content: bytes, source: str, limits: VerifyLimits) -> Signature:
        """Do what `flumen.models.structure.read_signature` does.

        Raises:
            ModelRefused, VerifierUnavailable: as in `verify`.
        """
        return cast("Signature", self._ask(ReadSignature(source), content, limits))

    def answer(
        self, content: bytes, manifest: Manifest, images: NDArray[np.uint8], limits: VerifyLimits
    ) -> NDArray[np.float32]:
        """Do what `flumen.models.verify.answer` does.

        Raises:
            ModelRefused, VerifierUnavailable: as in `verify`.
        """
        return cast("NDArray[np.float32]", self._ask(Answer(manifest, images), content, limits))

    def stay_behind(self, niceness: int) -> None:
        """Let the helper have what other processes leave, from now on."""
        with self._lock:
            self._niceness = niceness
            if self._helper is not None:
                self._helper.make_nice(niceness)

    def close(self) -> None:
        """End the helper, also one that is busy. A second call does nothing."""
        with self._lock:
            self._closed = True
            helper, self._helper = self._helper, None
        if helper is not None:
            helper.child.kill()
            if self._asking.acquire(blocking=False):  # else whoever asks finds it ended, and closes it
                helper.words.close()
                self._asking.release()

    def _ask(
        self, task: Task, content: bytes, limits: VerifyLimits, throttle: Throttle = lambda: None
    ) -> object:
        with self._asking:
            for attempt in ("first", "second"):
                helper = self._started()
                try:
                    done = helper.run(task, content, limits, throttle)
                except BaseException:  # also Ctrl-C: nobody waits for it any more
                    helper.child.process.kill()
                    self._forget(helper)
                    raise
                if done is None:
                    self._explain(helper, task, limits, attempt)
                elif isinstance(done.answer, ModelError):
                    try:
                        raise done.answer
                    finally:
                        del (
                            done
                        )  # its traceback holds this call, and so the model: a cycle, if it held it as well
                else:
                    return done.answer
            raise VerifierDied(
                f"{task.subject} has twice ended the process that verifies it. If the log says exit code -9, the "
                "machine may be out of memory; else keep the file for whoever maintains ONNX Runtime, and export it "
                "in another way"
            )

    def _explain(self, helper: Helper, task: Task, limits: VerifyLimits, attempt: str) -> None:
        """Say why a helper ended before it answered.

        Raises:
            TooSlow: it was the time limit.
        """
        code, words = self._forget(helper)
        if code == -signal.SIGPROF:
            raise TooSlow(
                f"{task.subject} takes more than {limits.time_s:g} s of processor time to verify, which is "
                "max_model_load_time_s. Look for what the network computes from constants alone, such as products "
                "of large tensors; if it is meant to take that long, raise the limit"
            )
        if not self._closed:
            # Not the file's fault, if another process ended the helper: so it is asked once more.
            log.warning(
                "the verifying helper ended",
                attempt=attempt,
                exit_code=code,
                model=task.subject,
                words=words,
            )

    def _started(self) -> Helper:
        with self._lock:
            helper = self._current()
        if helper.is_ready:
            return helper
        # Without the lock: `close` does not wait for a helper that starts, but ends it.
        try:
            helper.child.await_ready()
        except NotStarted as error:
            _, words = self._forget(helper)
            raise (VerifierUnavailable(_STOPPING) if self._closed else not_started(error, words)) from error
        except BaseException:  # Ctrl-C: nobody waits for it any more
            helper.child.process.kill()
            self._forget(helper)
            raise
        helper.is_ready = True
        with self._lock:
            if self._helper is helper:
                helper.make_nice(self._niceness)
        return helper

    def _current(self) -> Helper:
        if self._closed:
            raise VerifierUnavailable(_STOPPING)
        if self._helper is None:
            self._helper = start_helper()
        return self._helper

    def _forget(self, helper: Helper) -> tuple[int, str]:
        with self._lock:
            if self._helper is helper:
                self._helper = None
                self._worked_s += helper.worked_s
        return helper.end()


SHARED = Verifier()
"""For whoever has none of his own; its helper ends with this process."""
