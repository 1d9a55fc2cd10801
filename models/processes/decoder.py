"""Decoding beside this process: what may take long, much memory or the process itself goes to another one.

For whoever decodes an image now and then; a worker sends whole batches (`flumen.models.processes.interception`). Small
images (`flumen.interceptor.small`) are decoded here, in the thread that asks: going elsewhere would cost more than they
do. Of all others nothing but the first bytes is looked at here: the process reads their metadata and measures them,
too. It holds itself to the limits (models/processes/interception_process.py); this side starts it, sees how it ended,
and blames the image only for what the image did.
"""

from collections.abc import Callable

import structlog

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.decoding import Decoded, decode_image
from flumen.interceptor.formats import formats, identify
from flumen.interceptor.small import small_size
from flumen.models.errors import DecoderUnavailable
from flumen.models.processes import kept_process
from flumen.models.processes.exchange import NOTHING
from flumen.models.processes.interception_tasks import DecodeImage
from flumen.models.processes.kept_process import NAME, STOPPING, Intercepting, KeptProcess, died, too_long

log = structlog.get_logger(__name__)


class GuardedDecoder:
    """`flumen.interceptor.chain.Decoder` with a process, which is started for the first image that needs it.

    One thread at a time decodes; `close` may be called from any other. `on_progress` is called after each image that
    the process was busy with, whatever came of it. Where nobody asks for statistics, `measures` is False.
    """

    def __init__(self, on_progress: Callable[[], None] = lambda: None, *, measures: bool = True) -> None:
        self._on_progress = on_progress
        self._measures = measures
        self._process = KeptProcess()

    @property
    def helper_pid(self) -> int | None:
        """The process's id, where there is one."""
        return self._process.pid

    def __call__(self, content: bytes, limits: Limits, preprocess: Preprocess) -> Decoded:
        """Decode an image, here if it is small.

        Raises:
            Unclassifiable: it is refused; `DecodeTooLong` and `DecoderDied` are the other process's alone.
            DecoderUnavailable: there is no process: it does not start, ends twice for what is no image's fault, or
                this decoder is closed.
        """
        if small_size(content) is not None:
            return decode_image(content, limits, preprocess)
        identify(content, formats(limits.formats))
        try:
            answer = self._elsewhere(content, limits, preprocess)
        finally:
            self._on_progress()
        if isinstance(answer, Decoded):
            return answer
        try:
            raise answer
        finally:
            del answer  # its traceback holds this call, and so the image: a cycle, if it held it as well

    def close(self) -> None:
        """End the process, also one that is busy: its image is not decoded. A second call does nothing."""
        self._process.close()

    def _elsewhere(self, content: bytes, limits: Limits, preprocess: Preprocess) -> Decoded | Exception:
        """Return what came of it, and why the image is refused as well; raises what is no fault of the image."""
        task = DecodeImage(limits, preprocess, self._measures)
        for attempt in ("first", "second"):
            process = self._process.ready()
            answer = self._ask(process, task, content)
            if isinstance(answer, Decoded | Exception):
                return answer
            noted = process.exchange.noted()
            code = self._process.forget(process)
            if (refused := too_long(code, limits)) is not None:
                return refused
            if self._process.closed:
                raise DecoderUnavailable(STOPPING)
            # Not the image's fault, if another process ended this one: so it is asked once more.
            log.warning(
                "a process that intercepts ended", attempt=attempt, exit_code=code, image_bytes=len(content)
            )
        if noted == NOTHING:
            raise DecoderUnavailable(
                f"{NAME} has ended twice (exit code {code}), and was not decoding; see its message above, if it has "
                "left one"
            )
        return died(code)

    def _ask(self, process: Intercepting, task: DecodeImage, content: bytes) -> object:
        """Let the process decode. None where it did not answer."""
        try:
            process.ask(task, [content])
            if process.child.connection.poll(kept_process.silent_s(task.limits)):
                return process.take()
            process.child.process.kill()
        except (EOFError, OSError):
            pass
        return None
