"""The helper of `flumen.models.processes.verifier`: it looks into one model file after another, and runs it.

    python -m flumen.models.processes.verifier_process FD

It lets the kernel end it by SIGPROF where a file takes too much processor time: that holds in any C code, and also
where nobody waits for the answer any more. Its memory is measured from outside. A limit of the kernel's would not do:
ONNX Runtime leaves a constant uncomputed that it finds no memory for, and would compute it wherever there is some.
"""

import contextlib
import signal
import sys
import time
from multiprocessing.connection import Connection

import onnx  # noqa: F401 - imported later, it would count as a file's time and memory

from flumen.models.errors import ModelError, NotRunnable, TooMuchMemory
from flumen.models.processes import pickling
from flumen.models.processes.verifier_tasks import READY, Done, Request, Step


def serve(connection: Connection) -> None:
    """Answer requests until the other end closes the connection or is gone."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    connection.send(READY)
    while True:
        request = connection.recv()
        connection.send_bytes(pickling.dumps(_done(connection, request, connection.recv_bytes())))


def _done(connection: Connection, request: Request, content: bytes) -> Done:
    def step() -> None:
        connection.send_bytes(pickling.dumps(Step(time.process_time())))
        connection.recv()

    step()  # what is in memory by now is not the file's doing
    subject = request.task.subject
    signal.setitimer(signal.ITIMER_PROF, request.time_s)
    try:
        return Done(request.task(content, step))
    except ModelError as error:
        return Done(error)
    except MemoryError:
        return Done(TooMuchMemory(f"this machine has too little memory left to verify {subject}"))
    except Exception as error:  # noqa: BLE001 - whatever a file does to the libraries
        return Done(NotRunnable(f"{subject} cannot be looked into ({type(error).__name__}: {error})"))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    with contextlib.suppress(EOFError, OSError):
        serve(Connection(int(sys.argv[1])))
