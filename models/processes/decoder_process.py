"""The helper of `flumen.models.processes.decoder`: it reads one image after another, and holds itself to their limits.

    python -m flumen.models.processes.decoder_process FD

It limits its own memory, and lets the kernel end it by SIGPROF where an image takes too much processor time: that
holds in any C code, and also where nobody waits for the answer any more.
"""

import contextlib
import resource
import signal
import sys
import warnings
from multiprocessing.connection import Connection

import psutil
from PIL import Image

from flumen.interceptor import Limits, Preprocess
from flumen.interceptor.decoding import Decoded, decode_image, measured
from flumen.interceptor.errors import InterceptorError
from flumen.interceptor.refusals import with_cause
from flumen.models.processes.overheard import Overheard

_READY = "ready"


def serve(connection: Connection) -> None:
    """Answer requests, limits and then content, until the other end closes the connection or is gone."""
    # Both may be sent to the whole process group. The worker then finishes what it holds, and needs its helper.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    warnings.simplefilter("ignore")  # of Pillow's there may be thousands of lines an image
    Image.init()  # whatever is loaded later would count as an image's
    overheard = Overheard()
    connection.send(_READY)
    while True:
        limits, preprocess, measures = connection.recv()
        with overheard:
            answer = _answer(connection.recv_bytes(), limits, preprocess, measures=measures)
        connection.send(with_cause(answer, overheard.taken()))


def _answer(
    content: bytes, limits: Limits, preprocess: Preprocess, *, measures: bool
) -> Decoded | InterceptorError:
    allowed, most = resource.getrlimit(resource.RLIMIT_AS)
    memory = psutil.Process().memory_info().vms + limits.max_decode_memory_bytes
    bounded = memory if allowed == resource.RLIM_INFINITY else min(allowed, memory)
    resource.setrlimit(resource.RLIMIT_AS, (bounded, most))
    signal.setitimer(signal.ITIMER_PROF, limits.max_decode_time_s)
    try:
        decoded = decode_image(content, limits, preprocess)
        return measured(decoded) if measures else decoded
    except InterceptorError as error:
        return error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (allowed, most))


if __name__ == "__main__":
    with contextlib.suppress(EOFError, OSError):
        serve(Connection(int(sys.argv[1])))
