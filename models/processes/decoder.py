"""Decoding beside the worker: what may take long, much memory or the process itself goes to a helper process.

Small images (`flumen.interceptor.small`) are decoded here, in the thread that asks: going elsewhere would cost more
than they do. Of all others nothing but the first bytes is looked at here: the helper reads their metadata and measures
them, too. The helper holds itself to the limits (models/processes/decoder_process.py); this side starts it, sees how
it ended, and blames the image only for what the image did.
"""

import signal
import threading
from collections.abc import Callable

import structlog

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.decoding import Decoded, decode_image
from flumen.interceptor.errors import DecoderDied, DecodeTooLong
from flumen.interceptor.formats import formats, identify
from flumen.interceptor.small import small_size
from flumen.models.errors import DecoderUnavailable
from flumen.models.processes.child_process import (
    SILENT_S,
    TIMES_SILENT,
    ChildProcess,
    NotStarted,
    start_child,
)

log = structlog.get_logger(__name__)

_STOPPING = "the worker is stopping, and decodes nothing more"


class GuardedDecoder:
    """`flumen.interceptor.chain.Decoder` with a helper process, which is started for the first image that needs it.

    One thread at a time decodes; `close` may be called from any other. `on_progress` is called after each image that
    the helper was busy with, whatever came of it. Where nobody asks for statistics, `measures` is False.
    """

    def __init__(self, on_progress: Callable[[], None] = lambda: None, *, measures: bool = True) -> None:
        self._on_progress = on_progress
        self._measures = measures
        self._helper: ChildProcess | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def helper_pid(self) -> int | None:
        """The helper's process id, where there is one."""
        helper = self._helper
        return None if helper is None else helper.process.pid

    def __call__(self, content: bytes, limits: Limits, preprocess: Preprocess) -> Decoded:
        """Decode an image, here if it is small.

        Raises:
            Unclassifiable: it is refused; `DecodeTooLong` and `DecoderDied` are the helper's alone.
            DecoderUnavailable: there is no helper: it does not start, or this decoder is closed.
        """
        if small_size(content) is not None:
            return decode_image(content, limits, preprocess)
        identify(content, formats(limits.formats))
        try:
            return self._elsewhere(content, limits, preprocess)
        finally:
            self._on_progress()

    def close(self) -> None:
        """End the helper, also one that is busy: its image is not decoded. A second call does nothing."""
        with self._lock:
            self._closed = True
            helper, self._helper = self._helper, None
        if helper is not None:
            helper.kill()

    def _elsewhere(self, content: bytes, limits: Limits, preprocess: Preprocess) -> Decoded:
        for attempt in ("first", "second"):
            helper = self._started()
            answer = self._ask(helper, content, limits, preprocess)
            if isinstance(answer, Decoded):
                return answer
            if isinstance(answer, Exception):
                raise answer
            self._forget(helper)
            code = helper.process.returncode
            if code == -signal.SIGPROF:
                raise DecodeTooLong(
                    f"to decode it takes more than {limits.max_decode_time_s:g} s, which is max_decode_time_s; "
                    "publish a smaller version or raise the limit"
                )
            # Not the image's fault, if another process ended the helper: so it is asked once more.
            log.warning(
                "the decoding helper ended", attempt=attempt, exit_code=code, image_bytes=len(content)
            )
        raise DecoderDied(
            f"it has twice ended the process that decodes it (exit code {code}); keep it for whoever maintains "
            "Pillow, and publish it in another format"
        )

    def _ask(
        self, helper: ChildProcess, content: bytes, limits: Limits, preprocess: Preprocess
    ) -> Decoded | Exception | None:
        """Let the helper decode. None where it did not answer; it has ended then."""
        silent_s = TIMES_SILENT * limits.max_decode_time_s + SILENT_S
        try:
            helper.connection.send((limits, preprocess, self._measures))
            helper.connection.send_bytes(content)
            if helper.connection.poll(silent_s):
                answer: Decoded | Exception = helper.connection.recv()
                return answer
            helper.process.kill()
        except (EOFError, OSError):
            pass
        helper.end()
        return None

    def _started(self) -> ChildProcess:
        with self._lock:
            if self._closed:
                raise DecoderUnavailable(_STOPPING)
            if self._helper is not None:
                return self._helper
            try:
                helper = self._helper = start_child("flumen.models.processes.decoder_process")
            except NotStarted as error:
                raise _unavailable(error) from error
        # Without the lock: `close` does not wait for a helper that starts, but ends it.
        try:
            helper.await_ready()
        except NotStarted as error:
            self._forget(helper)
            raise (DecoderUnavailable(_STOPPING) if self._closed else _unavailable(error)) from error
        except BaseException:  # Ctrl-C: nobody waits for it any more
            self._forget(helper)
            helper.process.kill()
            helper.end()
            raise
        return helper

    def _forget(self, helper: ChildProcess) -> None:
        with self._lock:
            if self._helper is helper:
                self._helper = None


def _unavailable(error: NotStarted) -> DecoderUnavailable:
    return DecoderUnavailable(f"the decoding helper {error}; see its message above, if it has left one")
