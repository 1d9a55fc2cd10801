"""A bound on the memory of this process: a query that asks for more fails alone, and no server beside it.

DuckDB's own limit leaves out lists and texts, which may be of any size.
"""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from flumen.replay.errors import BadQuery

MOST_BYTES = 4 * 1024**3
"""Beyond what the process holds already, where the machine has twice as much to give."""


def bytes_to_use() -> int:
    """Return how many bytes a query may take: `MOST_BYTES`, or half of what is free on a smaller machine."""
    return min(MOST_BYTES, psutil.virtual_memory().available // 2)


@contextmanager
def bounded_memory(most: int) -> Iterator[None]:
    """Let the block take so many bytes more. Only Linux counts them; elsewhere the bound is DuckDB's alone.

    Raises:
        BadQuery: it takes more.
    """
    try:
        with _limited(most):
            yield
    except MemoryError as error:
        raise too_much(most) from error


def too_much(most: int) -> BadQuery:
    """Return the error of a query that takes more."""
    return BadQuery(
        f"the query takes more than the {most / 1024**3:.1f} GiB of memory that it may take here; choose columns in "
        "place of *, or ask for fewer rows with WHERE and LIMIT"
    )


@contextmanager
def _limited(most: int) -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    # Of what is mapped, RLIMIT_DATA leaves out what a JVM sets aside and does not use.
    allowed, highest = resource.getrlimit(resource.RLIMIT_DATA)
    bound = _data_bytes() + most
    bound = bound if allowed == resource.RLIM_INFINITY else min(allowed, bound)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, highest))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, highest))


def _data_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    [kilobytes] = (line.split()[1] for line in lines if line.startswith("VmData:"))
    return int(kilobytes) * 1024
