"""An address at which a server can be absent: what comes is handed on to the real one, once the gate is open."""

import socket
import threading
from contextlib import suppress


class Gate:
    """Nothing listens at `address` before `open`."""

    def __init__(self, server: str) -> None:
        """Stand before a server, `host:port`."""
        self._server = server
        self._socket = socket.socket()
        self._socket.bind(
            ("127.0.0.1", 0)
        )  # bound and not listening: connections are refused, the port is kept
        self.address = "{}:{}".format(*self._socket.getsockname())

    def open(self) -> None:
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        host, port = self._server.rsplit(":", 1)
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                server = socket.create_connection((host, int(port)))
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
