"""Free ports on the loopback interface, the same ones again where possible."""

import random
import socket
import time
from collections.abc import Iterable, Mapping

import psutil

from flumen.stack.errors import MachineUnfit

HOST = "127.0.0.1"
RANGE = range(20_000, 32_000)  # below the ports that Linux gives to outgoing connections, which come and go
TRIES = 200
LINGERING_S = 2.0
"""How long the threads of a server that was killed may go on holding its port."""


def choose(names: Iterable[str], recorded: Mapping[str, int], kept: Iterable[str]) -> dict[str, int]:
    """Return a port for each name: the recorded one where it is free or a running server has it (`kept`).

    Raises:
        MachineUnfit: no free port was found.
    """
    ports: dict[str, int] = {}
    for name in names:
        port = recorded.get(name)
        if port is None or not (name in kept or _becomes_free(port)):
            port = _any_free(taken={*ports.values(), *recorded.values()})
        ports[name] = port
    return ports


def is_free(port: int) -> bool:
    """Whether a server could listen on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _becomes_free(port: int) -> bool:
    until = time.monotonic() + LINGERING_S
    while not is_free(port):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def is_listening(address: str) -> bool:
    """Whether something accepts connections at `host:port`."""
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, int(port))) == 0


def owner(port: int) -> str | None:
    """Return who listens on this port, as `name (pid)`; None where nobody does."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and getattr(connection.laddr, "port", None) == port:
            return _name(connection.pid)
    return None


def _name(pid: int | None) -> str:
    if pid is None:
        return "a process of another user"
    try:
        return f"{psutil.Process(pid).name()} (pid {pid})"
    except psutil.NoSuchProcess:
        return f"pid {pid}"


def _any_free(taken: set[int]) -> int:
    for port in random.sample(RANGE, TRIES):
        if port not in taken and is_free(port):
            return port
    raise MachineUnfit(f"no free port found on {HOST}; `ss -ltn` shows who listens")
