"""A process that intercepts: it does one task after another, and holds itself to the limits of each image.

    python -m flumen.models.processes.interception_process FD EXCHANGE

It limits its own memory, and lets the kernel end it by SIGPROF where an image takes too much processor time: that
holds in any C code, and also where nobody waits for the answer any more. What it is at is noted in the exchange, so
that the other side knows which image ended it.
"""

import contextlib
import os
import resource
import signal
import sys
import warnings
from collections.abc import Iterator
from multiprocessing.connection import Connection

from PIL import Image

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.decoding import Decoded, decode_image, measured
from flumen.interceptor.errors import InterceptorError
from flumen.interceptor.refusals import with_cause
from flumen.interceptor.statistics import graphs
from flumen.models.processes.exchange import NOTHING, Exchange, decoded_sizes
from flumen.models.processes.interception_tasks import READY, Task
from flumen.models.processes.overheard import Overheard

_STATM_BYTES = 128


def serve(connection: Connection, exchange: Exchange) -> None:
    """Do what is asked for until the other end closes the connection or is gone."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    warnings.simplefilter("ignore")  # of Pillow's there may be thousands of lines an image
    Image.init()  # whatever is loaded later would count as an image's
    graphs.load()
    guard = LimitsHeld(exchange)
    connection.send(READY)
    while True:
        connection.send_bytes(_answered(exchange, guard, connection.recv_bytes()))


def _answered(exchange: Exchange, guard: "LimitsHeld", asked: bytes) -> bytes:
    """Do a task. In a call of its own: nothing of a request is left while the next one is waited for."""
    task: Task
    task, contents = exchange.read(decoded_sizes(asked))
    answer: object
    try:
        answer = task(contents, guard)
    except InterceptorError as error:
        answer = error
    return exchange.write(answer).encoded()


class LimitsHeld:
    """`flumen.models.processes.interception_tasks.Guard`. Another exception leaves the row noted, as a death does."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._statm = os.open("/proc/self/statm", os.O_RDONLY)
        self._page_bytes = resource.getpagesize()
        self._overheard = Overheard()

    def __call__(
        self, row: int, content: bytes, limits: Limits, preprocess: Preprocess, *, measures: bool
    ) -> Decoded:
        """Decode an image within its limits, and measure it within them, too."""
        self._exchange.note(row)
        try:
            with self._overheard, self._held(limits):
                decoded = decode_image(content, limits, preprocess)
                answer = measured(decoded) if measures else decoded
        except InterceptorError as error:
            self._exchange.note(NOTHING)
            with_cause(error, self._overheard.taken())
            raise
        self._overheard.taken()
        self._exchange.note(NOTHING)
        return answer

    @contextlib.contextmanager
    def _held(self, limits: Limits) -> Iterator[None]:
        allowed, most = resource.getrlimit(resource.RLIMIT_AS)
        memory = self._memory() + limits.max_decode_memory_bytes
        bounded = memory if allowed == resource.RLIM_INFINITY else min(allowed, memory)
        resource.setrlimit(resource.RLIMIT_AS, (bounded, most))
        signal.setitimer(signal.ITIMER_PROF, limits.max_decode_time_s)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            resource.setrlimit(resource.RLIMIT_AS, (allowed, most))

    def _memory(self) -> int:
        """Return the bytes of this process's address space (proc(5), statm)."""
        return int(os.pread(self._statm, _STATM_BYTES, 0).split(maxsplit=1)[0]) * self._page_bytes


if __name__ == "__main__":
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(Connection(int(sys.argv[1])), Exchange(int(sys.argv[2])))
