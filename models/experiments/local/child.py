"""A process that computes runs, one after another: `python -m flumen.models.experiments.local.child FD`."""

import contextlib
import os
import sys
import threading
import time
from multiprocessing.connection import Connection

from flumen.models.experiments.computing import Made, compute
from flumen.models.experiments.jobs import Job

READY = "ready"

_WATCH_S = 1.0


def serve(connection: Connection) -> None:
    """Compute what is asked for until the other end closes the connection or is gone."""
    connection.send(READY)
    made: Made | None = None
    while True:
        asked = connection.recv()
        if isinstance(asked, Job):
            made, result = compute(asked, connection.send)
            connection.send(result)
        else:
            assert made is not None
            connection.send(made.export(asked))


def _end_with(parent: int) -> None:
    """End where the process that started this one is gone, also in the middle of a run."""
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        serve(Connection(int(sys.argv[1])))
